"""The dashboard that docker/ brings asks for metrics that a node exports."""

import json
import re

from compat.dashboard import DASHBOARD, expressions
from tests.server.process import node
from tests.server.test_serve import MEMORY, get


def test_every_metric_in_the_dashboard_is_exported() -> None:
    asked = {
        name for _, query in expressions() for name in re.findall(r"\b(?:redis|respdyn)_\w+", query)
    }
    assert len(asked) > 20
    with node(MEMORY) as (_, port):
        _, text = get(port + 2000, "/metrics")
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    exported |= {name + "_bucket" for name in exported}
    assert not asked - exported


def test_panels_do_not_overlap_and_have_a_source() -> None:
    page = json.loads(DASHBOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in page["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert panel["targets"]
