"""Glob patterns match what Redis's do, in bounded time; SCAN's arguments are read as Redis's."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from respdyn.commands.scan import (
    COUNT_MAX,
    PATTERN_BYTES_MAX,
    Glob,
    Run,
    ScanRequest,
    compile_glob,
    glob_match,
    parse_cursor,
    parse_keys,
    parse_scan,
)
from respdyn.errors import ReplyError
from tests.commands.real import Connection

ODD = (b"", b"*", b"**", b"?", b"[", b"[]", b"[^", b"[^]", b"[a", b"[a-", b"[a-]", b"[z-a]",
       b"[a-c]", b"[^a-c]b", b"\\", b"\\*", b"a\\", b"[\\]]", b"[\\", b"[\\a-z]", b"[a\\-z]",
       b"*a*b*",
       b"[--a]", b"a**b", b"[]a]", b"[^]a]", b"[a-\xff]", b"[\x80-\xff]", b"*[", b"?*?", b"[*]",
       b"[?]", b"[a-z-9]", b"[[a]", b"h[]llo", b"x\\", b"\\\\", b"[!a]", b"[a-b-c]", b"\x00*",
       b"[\x00-a]", b"*ab*ba*", b"ab*ba", b"*aa*aa*", b"?*ab*?")
NAMES = (b"", b"a", b"b", b"ab", b"abc", b"aXb", b"*", b"\\", b"]", b"[", b"-", b"^", b"hllo", b"z",
         b"\xff", b"\x80", b"\x00", b"a\xffb", b"?", b"a\\", b"!", b"aabb", b"9", b"]a]",
         b"aba", b"abba", b"aaa", b"aaaa", b"ababab")


def matches_of_redis(redis: Connection, pattern: bytes, names: tuple[bytes, ...]) -> set[bytes]:
    """Which of the names, all of them set, KEYS finds."""
    reply = redis.call(b"KEYS", pattern)
    return {name for name in names if b"$%d\r\n%b\r\n" % (len(name), name) in reply}


def test_odd_patterns_match_as_in_redis(redis: Connection) -> None:
    for name in NAMES:
        redis.call(b"FLUSHALL")
        redis.call(b"SET", name, b"")
        for pattern in ODD:
            found = redis.call(b"KEYS", pattern) != b"*0\r\n"
            assert glob_match(pattern, name) == found, (pattern, name)


@settings(max_examples=400, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pattern=st.lists(st.sampled_from([b"*", b"?", b"[", b"]", b"^", b"-", b"\\", b"a", b"b", b"c",
                                      b"\xfe"]), max_size=10).map(b"".join),
    name=st.lists(st.sampled_from([b"a", b"b", b"c", b"-", b"]", b"\\", b"^", b"\xfe"]),
                  max_size=8).map(b"".join),
)
def test_any_pattern_matches_as_in_redis(redis: Connection, pattern: bytes, name: bytes) -> None:
    redis.call(b"FLUSHALL")
    redis.call(b"SET", name, b"")
    assert glob_match(pattern, name) == (redis.call(b"KEYS", pattern) != b"*0\r\n")


class CountingRun(Run):
    """Counts the places that it was asked to look at."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.width = run.width
        self.calls = 0
        self.places = 0

    def is_at(self, name: bytes, position: int) -> bool:
        self.calls += 1
        return self.run.is_at(name, position)

    def find(self, name: bytes, start: int, end: int) -> int:
        self.calls += 1
        found = self.run.find(name, start, end)
        self.places += (end if found < 0 else found) - start
        return found


@pytest.mark.parametrize("pattern", [b"a*" * 50 + b"b", b"*a" * 100, b"*[ab]" * 60 + b"*c",
                                     b"*?" * 100 + b"x", b"*" * 1000 + b"a*" * 30 + b"b"])
def test_no_pattern_is_a_bomb(pattern: bytes) -> None:
    """Every run is sought once, and all of them together look at each place of the name once."""
    name = b"a" * 5000 + b"b"
    runs = [CountingRun(run) for run in compile_glob(pattern).runs]
    Glob(list(runs), is_empty=False).matches(name)
    assert all(run.calls <= 1 for run in runs)
    assert sum(run.places for run in runs) <= len(name)


def test_patterns_are_limited_in_length() -> None:
    longest = b"a" * PATTERN_BYTES_MAX
    assert parse_keys([b"KEYS", longest]) == longest
    with pytest.raises(ReplyError, match="a pattern may have"):
        parse_keys([b"KEYS", longest + b"a"])
    with pytest.raises(ReplyError, match="a pattern may have"):
        parse_scan([b"SCAN", b"0", b"MATCH", longest + b"a"])


def test_options_of_scan_come_in_any_order_and_the_last_counts() -> None:
    argv = b"SCAN 7 type String match a* COUNT 5 match *".split(b" ")
    assert parse_scan(argv) == ScanRequest(7, None, 5, b"String")
    assert parse_scan([b"SCAN", b"0", b"COUNT", b"9" * 18]).count == COUNT_MAX


@pytest.mark.parametrize(("text", "cursor"), [
    (b"0", 0), (b"", 0), (b"+5", 5), (b"-1", 2**64 - 1), (b"18446744073709551615", 2**64 - 1),
    (b"007", 7), (b"3\x00x", 3),
])
def test_cursors_are_read_as_by_strtoul(text: bytes, cursor: int) -> None:
    assert parse_cursor(text) == cursor


@pytest.mark.parametrize("text", [
    b" 1", b"1 ", b"x", b"-", b"1_0", b"18446744073709551616", b"0x1",
])
def test_other_cursors_are_refused(text: bytes) -> None:
    with pytest.raises(ReplyError, match="ERR invalid cursor"):
        parse_cursor(text)
