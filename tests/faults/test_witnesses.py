"""Figures from what clients noted."""

from collections.abc import Sequence
from pathlib import Path

from tests.faults.machines import Machines
from tests.faults.witnesses import Asked, Figures, Witnesses


def figures(asked: Sequence[Asked], within_s: float = 0.0) -> Figures:
    machines = Machines(1)
    Path(machines.folder / "n1").rmdir()
    machines.folder.rmdir()
    witnesses = Witnesses(machines, 1, each=1)
    witnesses.all[0].asked = [*asked]
    return witnesses.figures(machines.all, 10.0, 20.0, within_s)


def test_an_error_does_not_end_a_gap_and_where_no_node_is_none_is_asked() -> None:
    found = figures([
        Asked(9.0, 9.5, "NOQUORUM"), Asked(10.0, 10.5, ""), Asked(11.0, 12.0, "TIMEOUT"),
        Asked(12.5, 13.5, "away"), Asked(14.0, 14.5, "", is_stale=True), Asked(19.0, 19.5, ""),
    ])
    assert (found.asked, found.answered, found.stale) == (4, 3, 1)
    assert found.gap_s == {"n1": 5.0}
    assert found.errors == {"TIMEOUT": 1}
    assert found.times_s == [0.5, 0.5, 0.5, 1.0]


def test_the_first_second_is_counted_from_when_the_connection_stood() -> None:
    found = figures([
        Asked(11.0, 11.1, "NOQUORUM", connected_s=11.0), Asked(12.5, 12.6, "", connected_s=11.0),
    ], within_s=1.0)
    assert (found.asked, found.answered) == (1, 0)
