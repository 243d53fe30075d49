"""The benchmark's work in the background: when it is over, and how much was done."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from respdyn.cli import bench_background
from respdyn.cli.bench_servers import BenchError


class Answering:
    """A server of which only the answers matter."""

    def __init__(self, status: list[object], info: bytes = b"") -> None:
        self._replies = {"DYN.CLUSTER": status, "INFO": info}

    def ask(self, *words: str) -> object:
        return self._replies[words[0]]


def status_of(filling: int, *members: list[object]) -> list[object]:
    return [b"verdict", b"x", b"partitions-filling", filling, b"members", list(members)]


def running_with(*servers: Answering) -> Any:
    return cast(Any, SimpleNamespace(servers=servers))


def test_calm_is_when_all_is_filled_handed_over_and_compared() -> None:
    calm: list[object] = [b"hints", 0, b"comparisons-due", 0, b"clean-exchange-age-ms", 12]
    for members, left in (
        ([calm, calm], 0),
        ([calm, [b"hints", 3, b"comparisons-due", 2, b"clean-exchange-age-ms", 9]], 5),
        ([calm, [b"hints", 0, b"comparisons-due", 0, b"clean-exchange-age-ms", -1]], 1),
        ([calm, [b"state", b"down"]], 1),
    ):
        running = running_with(Answering(status_of(0, *members)))
        assert bench_background.left(running, bench_background.COMPARED) == left
        assert bench_background.left(running) == 0
    assert bench_background.left(running_with(Answering(status_of(7)))) == 7
    with pytest.raises(BenchError, match="no status"):
        bench_background.left(running_with(Answering(cast(Any, b"ERR"))))


def test_what_was_moved_in_the_background_is_added_up_and_shown() -> None:
    said = b"dynamo_background_hints_bytes:5000000\r\ndynamo_background_scrub_bytes:7\r\n"
    servers = [Answering(status_of(0), said), Answering(status_of(0), said)]
    running = running_with(*servers)
    assert bench_background.moved(running) == {"hints": 10_000_000, "transfer": 0, "exchange": 0}
    work = bench_background.Work(running)
    assert work.remark().endswith("; it was over before the end")
