"""What a reader is shown of a failing seed: its circumstances, its story, how to see it again.

A run keeps no story; only when it has failed is the same seed run once more with one. The story
keeps what was done to the world, what nodes reported of themselves, and what clients did with the
key in question, one line per event.
"""

from dataclasses import dataclass, field

from respdyn.sim.operations import OUTCOMES, Op
from respdyn.sim.plan import Plan, draw

_MOST_LINES = 400


class Story:
    """Lines with the keys that they speak of."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, tuple[bytes, ...]]] = []

    def add(self, now_us: int, who: str, text: str, key: bytes) -> None:
        """One line; of no key when it concerns all."""
        self._lines.append((f"{now_us / 1e6:11.6f}  {who:<4} {text}", (key,) if key else ()))

    def add_op(self, now_us: int, client: str, where: str, op: Op, verb: str) -> None:
        """One line about a command; `verb` is sends, gets, or will never get."""
        text = f"{verb} {where}: {op}"
        if verb == "gets":
            text = f"gets from {where}: {op} -> {_short(op)} ({OUTCOMES[op.outcome]})"
        keys = tuple(part.key for part in op.all())
        self._lines.append((f"{now_us / 1e6:11.6f}  {client:<4} {text}", keys))

    def lines(self, key: bytes) -> list[str]:
        """The story of a key; with b"" that of all of them."""
        chosen = [line for line, keys in self._lines if not key or not keys or key in keys]
        if len(chosen) <= _MOST_LINES:
            return chosen
        left_out = len(chosen) - _MOST_LINES
        return [f"... {left_out} earlier lines; --story all shows them", *chosen[-_MOST_LINES:]]

    def all_lines(self, key: bytes) -> list[str]:
        """As `lines`, without a limit."""
        return [line for line, keys in self._lines if not key or not keys or key in keys]


def _short(op: Op) -> str:
    result = list(op.read) if op.read is not None and len(op.read) != 1 else op.result
    if op.read is not None and len(op.read) == 1:
        result = op.read[0]
    text = result.decode("latin-1") if isinstance(result, bytes) else repr(result)
    return text if len(text) < 160 else text[:157] + "..."


@dataclass(slots=True)
class Outcome:
    """How one seed went."""

    plan: Plan
    digest: str
    failure: str = ""               # what was wrong; "" for nothing
    key: bytes = b""                # on which key
    traceback: str = ""
    deliveries: int = 0
    events: int = 0
    operations: int = 0
    virtual_ms: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    story: list[str] = field(default_factory=list)

    def replay(self) -> str:
        """The command that shows it again."""
        plan, drawn = self.plan, draw(self.plan.seed)
        operators = ""
        if bool(plan.spares) != bool(drawn.spares):
            operators = " --operators" if plan.spares else " --operators no"
            drawn = drawn.with_operators() if plan.spares else drawn.without_operators()
        command = f"respdyn sim --seed {plan.seed}{operators}"
        if plan.collectors:
            command += " --collections"
        if plan.scripters:
            command += " --scripts"
        if plan.nodes != drawn.nodes:
            command += f" --nodes {plan.nodes}"
        if plan.faults != drawn.faults:
            command += " --faults " + (",".join(plan.faults) or "none")
        return command

    def lines(self) -> list[str]:
        """For a terminal."""
        lines = [f"seed {self.plan.seed} FAILED: {self.failure}", *self.plan.lines()]
        lines += self.story
        if self.traceback:
            lines += self.traceback.splitlines()
        lines += [f"seed {self.plan.seed} FAILED: {self.failure}", f"replay: {self.replay()}"]
        return lines
