"""Dumps: what is written is read again, and what Redis compressed is read as well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respdyn.types.dump import DumpError, WrongFooterError
from tests.commands.dumps import dump, load
from tests.commands.real import Connection

VALUES = st.one_of(
    st.binary(max_size=300),
    st.integers(-(1 << 40), 1 << 40).map(lambda number: b"%d" % number),
    st.builds(lambda piece, times: piece * times, st.binary(max_size=9), st.integers(0, 3000)),
)


@given(VALUES)
def test_a_dump_is_read_again(value: bytes) -> None:
    assert load(dump(value)) == value


@given(VALUES, st.data())
def test_a_damaged_dump_is_refused(value: bytes, data: st.DataObject) -> None:
    payload = bytearray(dump(value))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DumpError):
        load(bytes(payload))
    with pytest.raises(WrongFooterError):
        load(bytes(payload[: data.draw(st.integers(0, 9))]))


@given(st.binary(max_size=60))
def test_no_bytes_do_harm(body: bytes) -> None:
    from respdyn.types.dump import _crc64, unpack_string

    try:
        unpack_string(body, 0)
    except DumpError:
        pass
    framed = body + b"\x0a\x00"
    try:
        load(framed + _crc64(framed).to_bytes(8, "little"))
    except DumpError:
        pass


def test_what_redis_dumps_is_read_and_the_other_way_round(redis: Connection) -> None:
    text = b"the quick brown fox jumps over the lazy dog, and the quick brown cat does as well. "
    for value in (
        b"", b"v", b"0", b"-1", b"70000", b"a" * 60, text, text * 50, bytes(range(256)) * 100,
        b"ab" * 20_000, b"\0" * 1_000_000, b"x" * 70_000 + text,
    ):
        redis.call(b"SET", b"k", value)
        reply = redis.call(b"DUMP", b"k")
        assert load(reply[reply.index(b"\n") + 1 : -2]) == value
        assert redis.call(b"RESTORE", b"k", b"0", dump(value), b"REPLACE") == b"+OK\r\n"
        assert redis.call(b"GET", b"k") == b"$%d\r\n%b\r\n" % (len(value), value)


def test_other_types_are_refused_by_name(redis: Connection) -> None:
    for fill in ((b"RPUSH", b"l", b"a"), (b"HSET", b"l", b"a", b"b"), (b"ZADD", b"l", b"1", b"a")):
        redis.call(b"DEL", b"l")
        redis.call(*fill)
        reply = redis.call(b"DUMP", b"l")
        with pytest.raises(DumpError, match="only strings"):
            load(reply[reply.index(b"\n") + 1 : -2])
