"""One line per event, whatever its fields hold, in a form that a program can read."""

import io
import json

from respdyn.server.log import Log


def test_text_is_one_line_of_words() -> None:
    stream = io.StringIO()
    Log("text", stream).event("peer_up", peer="ab12", ms=0.5, reason="a b\nc", ok=True, empty="")
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.rstrip().endswith('Z peer_up peer=ab12 ms=0.5 reason="a b\\nc" ok=yes empty=""')


def test_json_is_one_object() -> None:
    stream = io.StringIO()
    Log("json", stream).event("peer_up", peer="ab12", count=3, odd=b"\xff")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["peer"], line["count"]) == ("peer_up", "ab12", 3)
    assert line["at"].endswith("Z")


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    Log("text", stream).event("anything")
