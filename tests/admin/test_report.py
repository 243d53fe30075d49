"""Reports are plain data: what DYN.CLUSTER shows can be shown by others, without reading RESP."""

from collections.abc import Generator

import msgspec

from respdyn.admin.report import ClusterReport
from respdyn.cluster.tasks import Answer, Request
from tests.little import Little


def report_of(little: Little, name: str) -> ClusterReport:
    node = little[name]
    found: list[ClusterReport] = []

    def task() -> Generator[list[Request], list[Answer], bytes]:
        found.append((yield from node.tasks.status.cluster()))
        return b""

    node.task_runner.start(task(), 2000, lambda reply: None)
    little.until(lambda: bool(found))
    return found[0]


def test_a_report_says_who_is_there_and_how_they_are() -> None:
    little = Little(3).ready()
    a = little.client("A")
    assert a("SET", "k", "v") == b"OK"
    little.run(2000)
    report = report_of(little, "A")
    assert report.verdict.startswith("all well: 3 of 3 nodes up") and not report.problems
    assert (report.n, report.r, report.w) == (3, 2, 2)
    assert [one.node for one in report.members] == sorted(m.name for m in little.machines)
    assert {one.state for one in report.members} == {"up"}
    health = report.members[0].health
    assert health is not None and health.keys == 1 and health.sessions == 1


def test_who_does_not_answer_is_in_the_report_without_health() -> None:
    little = Little(3).ready()
    little.kill("C")
    little.until(lambda: sum(link.is_up for link in little["A"].links.values()) == 1)
    report = report_of(little, "A")
    states = {one.node: (one.state, one.health is None) for one in report.members}
    assert states[little.machines[2].name] == ("down", True)
    assert states[little.machines[1].name] == ("up", False)
    assert report.below_n == report.partitions and report.below_w == 0
    assert any("is down" in line for line in report.problems)


def test_a_report_can_be_written_in_any_form() -> None:
    little = Little(1).ready()
    report = report_of(little, "A")
    written = msgspec.json.encode(report)
    assert msgspec.json.decode(written, type=ClusterReport) == report
