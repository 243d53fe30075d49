"""The arithmetic of the benchmark and the table that a person reads.

A ratio is taken within each round, where both sides met the same machine, and the row's ratio is
the median of those; so it may differ from the ratio of the two medians beside it. For ops/s more
is better and a bar is a least; for bytes, seconds and microseconds it is a most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from respdyn.cli.bench_rows import Row, Sample

GOAL: Final = "goal"
FIRST: Final = "first round"
NO: Final = "no"
UNKNOWN: Final = "-"
HEADS: Final = ("row", "respdyn", "beside", "", "ratio", "of rounds", "first", "goal", "reached",
                "remark")
RIGHT: Final = frozenset({1, 2, 4, 6, 7})


@dataclass(slots=True)
class Outcome:
    """What the rounds brought for one row. `peer` is empty where there is nothing beside."""

    row: Row
    ours: list[Sample] = field(default_factory=list)
    peer: list[Sample] = field(default_factory=list)
    failure: str = ""

    def ratios(self) -> list[float]:
        """One for each round."""
        return [a.value / b.value for a, b in zip(self.ours, self.peer, strict=False) if b.value]

    def ratio(self) -> float:
        """The median of the rounds' ratios; 0 if there are none."""
        ratios = self.ratios()
        return median(ratios) if ratios else 0.0

    def reached(self) -> str:
        """`goal`, `first round`, `no`, or `-` where nothing was compared."""
        ratio = self.ratio()
        if not ratio:
            return UNKNOWN
        for bar, name in ((self.row.goal, GOAL), (self.row.first, FIRST)):
            if ratio >= bar if self.row.is_more_better else ratio <= bar:
                return name
        return NO

    def remarks(self) -> str:
        """What a reader must know of these figures."""
        if self.failure:
            return self.failure
        found = []
        for side, samples in (("respdyn", self.ours), (self.row.beside, self.peer)):
            for remark in sorted({s.remark for s in samples if s.remark}):
                times = sum(s.remark == remark for s in samples)
                if times * 2 >= len(samples):
                    found.append(f"{remark} ({side})" if remark == "client-bound" else remark)
        return "; ".join(found)


def middle(samples: Sequence[Sample]) -> float:
    """The median value; 0 if there are none."""
    return median(sample.value for sample in samples) if samples else 0.0


def shown(value: float, unit: str) -> str:
    """A figure as a person reads it; `-` for none."""
    if not value:
        return UNKNOWN
    if unit == "ops/s":
        return f"{value / 1000:.1f}k/s"
    if unit == "us":
        return f"{value / 1000:.2f} ms"
    return f"{value:.2f} s" if unit == "s" else f"{value:.0f} {unit}"


def table(outcomes: Sequence[Outcome]) -> str:
    """All rows, aligned, the heads above them."""
    lines = [HEADS, *(_cells(outcome) for outcome in outcomes)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.rjust(width) if i in RIGHT else cell.ljust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )


def _cells(outcome: Outcome) -> tuple[str, ...]:
    row = outcome.row
    ratios = outcome.ratios()
    return (
        row.title, shown(middle(outcome.ours), row.unit), shown(middle(outcome.peer), row.unit),
        row.beside, f"{outcome.ratio():.2f}x" if ratios else UNKNOWN,
        f"{min(ratios):.2f}-{max(ratios):.2f}" if len(ratios) > 1 else "",
        f"{row.first:g}x", f"{row.goal:g}x", outcome.reached(), outcome.remarks(),
    )


def as_data(outcomes: Sequence[Outcome], about: Mapping[str, object]) -> dict[str, object]:
    """The same for programs, with every round's figures."""
    return {**about, "rows": [_row_data(outcome) for outcome in outcomes]}


def _row_data(outcome: Outcome) -> dict[str, object]:
    row = outcome.row
    return {
        "name": row.name, "title": row.title, "unit": row.unit, "beside": row.beside,
        "respdyn": middle(outcome.ours), "peer": middle(outcome.peer),
        "ratio": round(outcome.ratio(), 4), "ratios": [round(r, 4) for r in outcome.ratios()],
        "first": row.first, "goal": row.goal, "reached": outcome.reached(),
        "remark": outcome.remarks(),
        "respdyn_rounds": [_sample_data(sample) for sample in outcome.ours],
        "peer_rounds": [_sample_data(sample) for sample in outcome.peer],
    }


def _sample_data(sample: Sample) -> dict[str, object]:
    return {"value": sample.value, "remark": sample.remark, "client_cpu": sample.client_cpu,
            "server_us_per_op": sample.server_us, "rate": sample.rate}
