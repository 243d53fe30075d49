"""Requests are read as Redis reads them, in whatever pieces they come, at a bounded price."""

import itertools
import time
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from respdyn.resp.requests import ProtocolError, RequestLimits, RequestReader, split_inline
from tests.commands.real import Redis, encode, running
from tests.resp import reference

LIMITS = RequestLimits(args=2000, bulk_bytes=20_000, inline_bytes=100)


def following(reader: RequestReader) -> list[bytes] | None:
    """The next command; None when more input is needed."""
    return reader.ready.popleft() if reader.read() else None


def read_all(
    pieces: list[bytes], authenticated: bool, limits: RequestLimits = LIMITS
) -> tuple[list[list[bytes]], str | None]:
    """The commands in the pieces, and the error that ends them, if one does."""
    reader = RequestReader(limits, authenticated)
    commands: list[list[bytes]] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (argv := following(reader)) is not None:
                assert argv
                commands.append(argv)
    except ProtocolError as wrong:
        return commands, wrong.text
    return commands, None


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


ARGUMENT = st.one_of(
    st.sampled_from([
        b"SET", b"GET", b"", b"\r\n", b"$3\r\nabc\r\n", b"*2\r\n", b"\r\n*1\r\n$1\r\na",
    ]),
    st.binary(max_size=12),
    st.integers(0, 40).map(lambda size: b"v" * size * 500),
)
GOOD = st.lists(ARGUMENT, min_size=1, max_size=12).map(encode)
LINE = st.lists(
    st.sampled_from([b"SET", b"k", b'"', b"'", b" ", b"\\", b"\\x41", b"\\n", b"\t", b"\v", b"\x00",
                     b"a", b"POST", b"\\'", b'\\"', b"\xff", b"host:"]), max_size=10,
).map(b"".join)
INLINE = st.tuples(LINE, st.sampled_from([b"\n", b"\r\n", b"\r\r\n"])).map(b"".join)
BAD = st.sampled_from([
    b"*0\r\n", b"*-1\r\n", b"*-5\r\n", b"*x\r\n", b"*01\r\n", b"*+1\r\n", b"*\r\n", b"*1\r",
    b"*1\r\n:1\r\n", b"*1\r\n+OK\r\n", b"*2\r\n$1\r\na\r\n+OK\r\n", b"*1\r\n*1\r\n$1\r\na\r\n",
    b"*1\r\n$-1\r\n", b"*1\r\n$01\r\n", b"*1\r\n$20001\r\n", b"*1\r\n$99999999999999999999\r\n",
    b"*2001\r\n", b"*99999999999999999999\r\n", b"*11\r\n", b"*1\r\n\r\n", b"*1\r\n\n\r\n",
    b"*1\r\n$1\r\naXY", b"*1\rX$1\rYa\r\n", b"\r\n", b"\n", b"$1\r\na\r\n", b"+OK\r\n", b"%1\r\n",
    b"*" + b"1" * 101, b"*1\r\n$" + b"1" * 101, b"*1\r\n" + b"x" * 101, b"a" * 101,
    b"*1\r\n\xff1\r\n", b"a" * 100 + b"\n", b"a" * 101 + b"\n", b"*" + b"1" * 99 + b"\r\n",
    b"*1\r\n$16385\r\n", b"*",
])
INPUT = st.lists(st.one_of(GOOD, GOOD, INLINE, BAD), max_size=8).map(b"".join)


@settings(max_examples=600, deadline=None)
@given(INPUT, st.lists(st.integers(0, 1 << 20), max_size=8), st.booleans())
@example(encode([b"SET", b"k", b"v"]) * 3 + b"*3\r\n$3\r\nSET\r\n$1", [20, 50], True)
@example(encode([b"a"] * 1500), [], True)
def test_any_input_in_any_pieces_is_read_as_by_the_reference(
    data: bytes, places: list[int], authenticated: bool
) -> None:
    expected = reference.read_all(
        data, authenticated, LIMITS.inline_bytes, LIMITS.bulk_bytes, LIMITS.args
    )
    assert read_all([data], authenticated) == expected
    assert read_all(cut(data, places), authenticated) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(GOOD, INLINE, BAD), max_size=4).map(b"".join), st.booleans())
def test_one_byte_at_a_time_makes_no_difference(data: bytes, authenticated: bool) -> None:
    pieces = [data[at : at + 1] for at in range(len(data))]
    assert read_all(pieces, authenticated) == read_all([data], authenticated)


@settings(max_examples=400)
@given(LINE)
def test_inline_commands_are_split_as_by_the_reference(line: bytes) -> None:
    assert split_inline(line) == reference.split(line)


# ---- the reference itself, and the texts, against redis-server ----

WRONG = [
    b"*x\r\n", b"*01\r\n", b"*2147483648\r\n", b"*1\r\n:1\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n",
    b"*1\r\n$536870913\r\n", b"*1\r\n\r\n", b"*1\r\n\n\r\n", b"*1\r\n$01\r\n", b"*1\r\n*1\r\n",
    b"*-99999999999999999999\r\n", b"*1\r\n\xff\r\n", b"*1\r\n$\r\n", b"*\r\n", b"*1\r\n$1x\r\n",
    b"SET k 'v\r\n", b'SET k "v\n', b"SET k 'v'x\r\n", b'"a"b\r\n', b'SET k "\\\r\n',
    b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000, b"x" * 70000, b"POST / HTTP/1.1\r\n",
    b"GET k\r\nHost: evil\r\nSET k pwned\r\n",
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: repr(wrong[:30]))
def test_protocol_errors_are_those_of_redis(wrong: bytes, redis_server: Redis) -> None:
    """What comes before is answered, the error is reported, nothing behind it counts."""
    redis = redis_server.connect()
    redis.talk(b"DEL k\r\n")
    before = b"*1\r\n$4\r\nPING\r\n"
    behind = b"\r\nPING\r\n" if wrong.endswith(b"\n") else b""
    redis.talk(before)
    theirs = redis.talk(wrong + behind, 10)
    reader = RequestReader(RequestLimits(), authenticated=True)
    reader.feed(before + wrong + behind)
    assert following(reader) == [b"PING"]
    with pytest.raises(ProtocolError) as error:
        while (argv := following(reader)) is not None:
            assert argv == [b"GET", b"k"]
            theirs = theirs.removeprefix(b"$-1\r\n")
    assert error.value.reply == theirs
    redis.close()


BEFORE_AUTH = [
    b"*11\r\n", b"*10\r\n$16385\r\n", b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", b"*x\r\n",
]


@pytest.mark.parametrize("wrong", BEFORE_AUTH)
def test_limits_before_auth_are_those_of_redis(wrong: bytes) -> None:
    with running("--requirepass", "secret") as server:
        theirs = server.connect().talk(wrong, 10)
    reader = RequestReader(RequestLimits(), authenticated=False)
    reader.feed(wrong)
    with pytest.raises(ProtocolError) as error:
        following(reader)
    assert error.value.reply == theirs


INLINE_LINES = [
    b"ECHO a", b"  ECHO \t a  ", b'ECHO "a b"', b"ECHO 'a b'", b'ECHO "\\x41\\n\\q\\\\"',
    b"ECHO 'a\\'b\\n'", b'ECHO a"b c"', b"ECHO \"\"", b"ECHO ''", b'ECHO "\\xzz"', b"ECHO a\\nb",
    b"ECHO a\vb", b"\vECHO \fa", b"", b"   ", b"ECHO '\"'", b'ECHO "\'"', b"ECHO \\", b"ECHO \xff",
    b"$1", b"+OK", b"ECHO *1", b'ECHO "\\x4"', b"ECHO \"a\\tb\\b\\a\\r\"",
]


@pytest.mark.parametrize("line", INLINE_LINES)
def test_inline_commands_are_those_of_redis(line: bytes, redis_server: Redis) -> None:
    words = split_inline(line)
    assert words is not None
    redis = redis_server.connect()
    as_array = encode(words) if words else b""
    expected = redis.talk(as_array + encode([b"ECHO", b"end"]), 1 + bool(words))
    assert redis.talk(line + b"\r\n" + encode([b"ECHO", b"end"]), 1 + bool(words)) == expected
    redis.close()


# ---- what it costs ----


def test_a_declared_length_beyond_the_limit_is_refused_from_its_header() -> None:
    for header in (b"*3\r\n$3\r\nSET\r\n$20001\r\n", b"*2001\r\n"):
        reader = RequestReader(LIMITS, authenticated=True)
        reader.feed(header)
        with pytest.raises(ProtocolError):
            following(reader)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_command_is_not_complete_without_its_last_line_end(size: int) -> None:
    """Whatever those two bytes are, they belong to it."""
    command = [b"word"] * size
    for end in (b"\r\n", b"XY"):
        reader = RequestReader(LIMITS, authenticated=True)
        reader.feed(encode(command)[:-2])
        assert following(reader) is None
        reader.feed(end[:1])
        assert following(reader) is None
        reader.feed(end[1:] + b"PING\r\n")
        assert following(reader) == command
        assert following(reader) == [b"PING"]


def test_arguments_with_line_ends_cost_no_more_the_more_commands_there_are() -> None:
    """What has been looked at is not looked at again for each command: that would take minutes."""
    data = encode([b"SET", b"k", b"a\r\nb"]) * 20_000
    reader = RequestReader(RequestLimits(), authenticated=True)
    started = time.process_time()
    reader.feed(data)
    count = 0
    while following(reader) is not None:
        count += 1
    assert count == 20_000
    assert time.process_time() - started < 5


def test_a_command_is_limited_as_a_whole() -> None:
    limits = RequestLimits(command_bytes=50_000)
    reader = RequestReader(limits, authenticated=True)
    reader.feed(b"*4\r\n" + b"".join(b"$20000\r\n%b\r\n" % (b"x" * 20000) for _ in range(2)))
    assert following(reader) is None
    reader.feed(b"$20000\r\n")
    with pytest.raises(ProtocolError, match="too big command"):
        following(reader)


def test_what_is_held_back_is_what_has_arrived() -> None:
    """A length that is declared reserves nothing, and what was read is let go."""
    reader = RequestReader(RequestLimits(), authenticated=True)
    reader.feed(encode([b"SET", b"k", b"v" * 1000]) * 50 + b"*2\r\n$3\r\nGET\r\n$400000000\r\nabc")
    while following(reader) is not None:
        pass
    assert reader.buffered == len(b"GET") + len(b"abc")
    for _ in range(1000):
        reader.feed(b"x" * 1000)
        assert following(reader) is None
    assert reader.buffered == len(b"GET") + len(b"abc") + 1_000_000


def test_a_large_argument_in_many_pieces_costs_no_more_than_its_size() -> None:
    """Pieces are joined once, when all are there: not once per piece."""
    reader = RequestReader(RequestLimits(), authenticated=True)
    value = b"x" * 4_000_000
    data = encode([b"SET", b"k", value])
    joined = 0
    for at in range(0, len(data), 4000):
        before = reader.data
        reader.feed(data[at : at + 4000])
        argv = following(reader)
        joined += reader.data is not before
    assert argv == [b"SET", b"k", value]
    assert joined <= 3


def test_authentication_counts_from_the_next_command_on() -> None:
    """AUTH and what follows it may come in one piece."""
    reader = RequestReader(RequestLimits(), authenticated=False)
    long = encode([b"MSET"] + [b"x"] * 20)
    reader.feed(encode([b"AUTH", b"secret"]) + long)
    assert following(reader) == [b"AUTH", b"secret"]
    reader.authenticated = True
    assert following(reader) == [b"MSET"] + [b"x"] * 20


def test_an_attack_from_a_browser_gets_no_answer() -> None:
    reader = RequestReader(RequestLimits(), authenticated=True)
    reader.feed(b"POST / HTTP/1.1\r\nHost: localhost:6379\r\n\r\nFLUSHALL\r\n")
    with pytest.raises(ProtocolError) as error:
        following(reader)
    assert error.value.reply == b""


@pytest.mark.parametrize("piece", [1 << 16, (1 << 20) + 7, (1 << 20) + 40, 3 << 20])
@pytest.mark.parametrize("extra", [0, 1, 2, 37])
def test_large_arguments_are_what_was_sent_however_they_come(piece: int, extra: int) -> None:
    large = bytes(range(256)) * 4096 + b"x" * extra
    sent = [[b"SET", b"k", large], [b"MSET", large, b"v", b"k", large], [b"GET", b"k"]]
    data = b"".join(
        b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in argv)
        for argv in sent
    )
    for first in (1, 30, piece - 1, piece):
        reader = RequestReader(RequestLimits(), authenticated=True)
        found = []
        cuts = [0, *range(first, len(data), piece), len(data)]
        for start, end in itertools.pairwise(cuts):
            reader.feed(data[start:end])
            while reader.read():
                found.append(reader.ready.popleft())
        assert found == sent and not reader.has_input() and reader.buffered == 0


def test_a_large_argument_is_copied_once() -> None:
    large = bytes(8 << 20)
    reader = RequestReader(RequestLimits(), authenticated=True)
    pieces = [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % len(large)]
    pieces += [large[at : at + (1 << 18)] for at in range(0, len(large), 1 << 18)]
    for piece in (*pieces, b"\r"):
        reader.feed(piece)
        assert not reader.read()
    tracemalloc.start()
    try:
        reader.feed(b"\n")
        assert reader.read() and reader.ready[0] == [b"SET", b"k", large]
        assert tracemalloc.get_traced_memory()[1] < 1.5 * len(large)
    finally:
        tracemalloc.stop()
