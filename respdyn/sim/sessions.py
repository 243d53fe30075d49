"""What one connection may not be shown, and what a read meets while no node is down.

Where nodes stand in for others the promises of `history` hold at times only. These hold then:

*Once no node is down*, as all nodes see it, a read meets what was acknowledged before: on its own
connection at once, and by way of others as soon as what was on its way between nodes has arrived.

*While its node reaches all others*, whatever other nodes are cut off, a connection is not shown
anything older than its own last acknowledged write.

Older is what was acknowledged so long before that write began that no two clocks disagree about it.
A key that something may have removed, or a time at which a disk may have lost something, proves
nothing. Source: decision 0029.
"""

from collections.abc import Callable

from respdyn.sim.key_history import KeyHistory
from respdyn.sim.operations import DONE, Op
from respdyn.sim.plan import Plan

# What is on its way between two nodes has arrived, or they have noticed that it has not.
_SLACK_US = 600_000


class Sessions:
    """Judges reads where some nodes stand in for others. Raises nothing: it says what is wrong."""

    def __init__(self, plan: Plan) -> None:
        self.is_wanted = (
            not plan.is_strict and plan.r + plan.w > plan.n and not plan.spares
            and not plan.grace_ms
        )
        self._slack_us = _SLACK_US + 1_000 * plan.failure_timeout_ms
        self._is_slow = "slow-link" in plan.faults or "stall" in plan.faults
        # By connection and key: its last acknowledged write, and how its node saw the others.
        self._own: dict[tuple[str, bytes], tuple[Op, tuple[int, ...] | None]] = {}

    def receive(
        self, op: Op, part: Op, history: KeyHistory, margin_us: int,
        is_whole: Callable[[int, int], bool],
    ) -> str:
        """The client has the outcome of one operation; what is wrong with it, if anything."""
        wrong = ""
        if part.read is not None or part.was_absent:
            wrong = (
                self._judge_own(op, part, history, margin_us, is_whole)
                or self._judge_calm(op, part, history, margin_us, is_whole)
            )
        if part.value and part.outcome == DONE:
            view = op.view if op.view == op.end_view else None
            self._own[op.session, part.key] = part, view
        return wrong

    def _judge_own(
        self, op: Op, part: Op, history: KeyHistory, margin_us: int,
        is_whole: Callable[[int, int], bool],
    ) -> str:
        own, view = self._own.get((op.session, part.key), (None, None))
        if own is None or own.end_us > part.invoke_us or history.removable_us <= part.end_us:
            return ""
        is_calm = op.calm is not None and op.calm == op.end_calm
        is_near = view is not None and view == op.view == op.end_view
        if not (is_calm or is_near) or not is_whole(own.invoke_us, part.end_us):
            return ""
        oldest_us = own.invoke_us - margin_us
        if any(history.writes[value].end_us >= oldest_us for value in part.read or ()):
            return ""
        when = "no node is down" if is_calm else "its node reaches all others"
        return f"{op} of {op.client} shows nothing as new as its own {own}, although {when}"

    def _judge_calm(
        self, op: Op, part: Op, history: KeyHistory, margin_us: int,
        is_whole: Callable[[int, int], bool],
    ) -> str:
        if op.calm is None or op.calm != op.end_calm or self._is_slow or not is_whole(
            0, part.end_us
        ):
            return ""
        if not part.was_absent and op.argv[-2] != b"DYN.GETCTX":
            return ""
        lost = history.unexplained(
            part.read or (), part.invoke_us, part.end_us, part.floor_us, margin_us, False
        )
        if lost is None or lost.end_us >= op.calm_us - self._slack_us:
            return ""
        return (
            f"{op} of {op.client} does not meet {lost}, acknowledged at {lost.end_us} us, although"
            " no node is down"
        )
