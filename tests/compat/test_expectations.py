"""The lists of tests that count and of failures that are expected."""

import pytest

from compat.scope import redis_commands, why_out_of_scope
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
    assert why_out_of_scope("lpush") == "lists" and why_out_of_scope("evalsha") == "scripting"
    assert why_out_of_scope("json.set") == "not a command of Redis 7.0"
    assert why_test_is_out(frozenset({"get", "zadd"})) == "later, or never: sorted sets"
    assert len(redis_commands()) > 350
