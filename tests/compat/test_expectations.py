"""The lists of tests that count and of failures that are expected."""

import pytest

from compat.matrix import declared
from compat.scope import HIDDEN, NO_COUNTERPART, redis_commands, why_out_of_scope
from compat.suite import expectations
from compat.suite.expectations import read_expected, read_judged, why_test_is_out

MODES = [path.stem for path in sorted(expectations.EXPECTED.glob("*.txt"))]


@pytest.mark.parametrize("mode", MODES)
def test_every_expected_failure_has_a_reason_and_passes_on_redis(mode: str) -> None:
    judged, expected = read_judged(mode), read_expected(mode)
    assert len(judged) > 500 and not set(expected) - set(judged)
    assert all(len(reason) > 10 and "?" not in reason for reason in expected.values())
    in_scope = {test for test, sent in judged.items() if not why_test_is_out(sent)}
    assert len(in_scope & set(expected)) <= 0.1 * len(in_scope)


def test_scope_follows_from_groups_of_commands() -> None:
    assert why_out_of_scope("get") == why_out_of_scope("client|id") == ""
    assert why_out_of_scope("evalsha") == why_out_of_scope("script|load") == ""
    assert why_out_of_scope("xack") == why_out_of_scope("fcall") == ""
    assert why_out_of_scope("json.set") == "not a command of Redis 7.0"
    assert why_test_is_out(frozenset({"get", "sync"})) == (
        "later, or never: replication with a leader"
    )
    assert len(redis_commands()) > 350


def test_what_has_no_counterpart_is_absent_or_refused_and_all_else_is_here() -> None:
    here = declared()
    theirs = redis_commands()
    assert set(NO_COUNTERPART) <= set(theirs) | HIDDEN
    containers = {name.partition("|")[0] for name in theirs if "|" in name}
    for name in {*theirs, *NO_COUNTERPART} - containers:
        mine = here.get(name)
        is_out = mine is None or mine.promise == "refused"
        assert is_out == bool(why_out_of_scope(name)), name
