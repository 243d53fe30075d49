"""The alert rules that docker/ brings: well formed, silent while all is well, and only then.

promtool evaluates them over what nodes of a little cluster export, as if that went on for an hour.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from respdyn.metrics import ServerMetrics
from respdyn.server.exposition import exposition
from tests.conftest import find_program
from tests.little import Little
from tests.membership.test_membership import change

RULES = Path(__file__).parents[2] / "docker" / "prometheus" / "rules.yml"
OPERATIONS = RULES.parents[2] / "docs" / "operations.md"
ALERTS = re.findall(r"- alert: (\w+)\n +expr: (.+)\n", RULES.read_text())
HOUR = 60       # samples, one a minute

pytestmark = pytest.mark.needs("promtool")


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    program = find_program("promtool")
    assert program is not None
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60)


def scraped(little: Little, name: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """What Prometheus would have of a node."""
    labels = {"job": "respdyn", "instance": name}
    yield "up", labels, 1.0
    text = exposition(little[name], ServerMetrics(), 0.0).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, {**sample.labels, **labels}, float(sample.value)


def firing(little: Little, names: str, path: Path, grows: str = "") -> set[str]:
    """Which alerts fire in the end; the series whose name is `grows` by one a minute."""
    lines = ["rule_files:", f"  - {RULES}", "evaluation_interval: 1m", "tests:",
             "  - interval: 1m", "    input_series:"]
    for name in names:
        for series, labels, value in scraped(little, name):
            shown = ",".join(f'{key}="{one}"' for key, one in sorted(labels.items()))
            step = 1 if series == grows else 0
            lines += [f"      - series: '{series}{{{shown}}}'",
                      f"        values: '{value:g}+{step}x{HOUR}'"]
    lines.append("    alert_rule_test:")
    for alert, _ in ALERTS:
        lines += [f"      - {{eval_time: {HOUR - 1}m, alertname: {alert}, exp_alerts: []}}"]
    page = path / "story.yml"
    page.write_text("\n".join(lines) + "\n")
    done = promtool("test", "rules", str(page))
    raised = set(re.findall(r"alertname: ?(\w+)", done.stdout + done.stderr))
    assert done.returncode == bool(raised), done.stderr
    return raised


def test_the_rules_are_well_formed() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout and len(ALERTS) >= 10


def test_the_documented_rules_are_these() -> None:
    page = OPERATIONS.read_text()
    assert re.findall(r"^\| `(Respdyn\w+)` \| `(.+?)` \|", page, re.MULTILINE) == ALERTS


def test_every_metric_in_the_rules_is_exported() -> None:
    little = Little(3).ready()
    exported = {series for series, _, _ in scraped(little, "A")}
    asked = {name for _, expr in ALERTS for name in re.findall(r"\brespdyn_\w+", expr)}
    assert len(asked) > 10 and not asked - exported - {"respdyn_request_duration_seconds_bucket"}


@pytest.mark.parametrize("count", [1, 3])
def test_a_healthy_cluster_raises_no_alert(count: int, tmp_path: Path) -> None:
    little = Little(count, exchange_interval_ms=100, partitions=16)
    little.until(lambda: little["A"].membership.ring is not None)
    if count > 1:
        little.ready()
    little.run(100)
    client = little.client("A")
    for number in range(50):
        assert client("SET", f"k{number}", "v") == b"OK"
    little.run(8000)
    assert firing(little, "ABC"[:count], tmp_path) == set()


def test_a_member_that_has_left_raises_no_alert(tmp_path: Path) -> None:
    little = Little(4, n=3, exchange_interval_ms=100, partitions=16).ready()
    change(little, "A", "LEAVE 10.0.0.4:6379")
    little.until(lambda: little["D"].readiness.is_out)
    little.kill("D")
    little.run(8000)
    assert firing(little, "ABC", tmp_path) == set()


def test_a_node_that_is_away_is_alerted(tmp_path: Path) -> None:
    little = Little(3, exchange_interval_ms=100, partitions=16).ready()
    little.run(8000)
    little.kill("C")
    little.run(3000)
    assert firing(little, "AB", tmp_path) == {"RespdynNodeAway"}


def test_refusals_and_overload_are_alerted(tmp_path: Path) -> None:
    little = Little(1)
    little.run(100)
    assert firing(little, "A", tmp_path, "respdyn_quorum_failures_total") == {
        "RespdynRefusesClients"
    }
    assert firing(little, "A", tmp_path, "respdyn_overloads_total") == {"RespdynOverloaded"}
