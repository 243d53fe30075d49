"""What each command of a transaction costs the node that runs it."""

from collections.abc import Callable

Note = Callable[[int], None]        # hears how many nanoseconds a step took


class Timing:
    """Times the steps of a group, one note for each, by a clock that runs within a turn too."""

    __slots__ = ("_clock_ns", "_notes")

    def __init__(self, clock_ns: Callable[[], int], notes: list[Note]) -> None:
        self._clock_ns = clock_ns
        self._notes = notes

    def run(self, run_step: Callable[[int], None]) -> None:
        """All steps, one after the other."""
        began_ns = self._clock_ns()
        for index, note in enumerate(self._notes):
            run_step(index)
            ended_ns = self._clock_ns()
            note(ended_ns - began_ns)
            began_ns = ended_ns
