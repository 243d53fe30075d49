"""HyperLogLogs against redis-server: the same replies, and the same bytes in the string."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from respdyn.causal.codec import join_records
from respdyn.causal.dot import intern_actor
from respdyn.types import hyperloglog, strings
from tests.commands.alone import Alone
from tests.commands.executor import Executor
from tests.commands.real import Connection
from tests.commands.test_like_redis import compare

STORIES = {
    "pfadd": "PFADD h / GET h / PFADD h / PFADD h a b c / PFADD h a / GET h / PFCOUNT h / STRLEN h"
             " / TYPE h / PFADD h  / PFADD / PFCOUNT / PFCOUNT no / PFCOUNT no none / PFADD i a z"
             " / PFCOUNT h i no / PFCOUNT i / EXPIREAT h 5000000000 / PFADD h new / EXPIRETIME h",
    "pfmerge": "PFADD a 1 2 3 / PFADD b 3 4 / PFMERGE c a b no / GET c / PFCOUNT c / PFMERGE d"
               " / GET d / PFMERGE a / GET a / PFMERGE / PFDEBUG TODENSE b / PFMERGE d b / GET d"
               " / PFMERGE e a / PFMERGE a b / EXPIREAT c 5000000000 / PFMERGE c a / EXPIRETIME c",
    "wrong ones": "SET s v / PFADD s a / PFCOUNT s / PFMERGE s a / PFMERGE x s / EXISTS x"
                  " / PFCOUNT no s / PFCOUNT s no / SET s HYLL / PFCOUNT s / HSET k f v / PFADD k a"
                  " / PFCOUNT k / PFMERGE x k s / PFMERGE x s k / PFCOUNT k s / PFCOUNT s k"
                  " / PFMERGE k s / SET n 10 / PFADD n a"
                  " / SET d HYLL\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
                  " / PFADD d a / PFCOUNT d / PFDEBUG ENCODING d",
    "corrupted": "PFADD h a b c / SETRANGE h 15 \\x80 / SETRANGE h 16 \\x00 / PFCOUNT h"
                 " / PFCOUNT h no / PFMERGE x h / PFADD h e / PFDEBUG GETREG h / PFDEBUG TODENSE h"
                 " / PFDEBUG DECODE h / PFADD g a / APPEND g \\x84 / PFCOUNT g / PFADD g b"
                 " / PFADD f a / APPEND f \\x40 / PFCOUNT f / PFADD f b / PFMERGE y f"
                 " / SET e HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80"
                 " / PFCOUNT e / PFADD e a / PFADD e / PFMERGE z e / PFDEBUG DECODE e",
    "a cache": "SET c HYLL\\x01\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x7f\\xff"
               " / PFCOUNT c / PFCOUNT c no / PFADD c a / PFCOUNT c",
    "pfdebug": "PFADD h a b c d / PFDEBUG ENCODING h / PFDEBUG DECODE h / PFDEBUG TODENSE h"
               " / PFDEBUG TODENSE h / PFDEBUG ENCODING h / PFDEBUG DECODE h / GET h"
               " / PFDEBUG GETREG h / PFDEBUG nope h / PFDEBUG ENCODING no / PFDEBUG ENCODING"
               " / PFADD i a / PFDEBUG GETREG i / PFDEBUG encoding i / PFDEBUG nope i",
}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(story: str, resp: int, redis: Connection) -> None:
    compare(story, resp, redis)


@settings(max_examples=15, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 30), st.integers(1, 2500))
def test_the_bytes_are_those_of_redis(redis: Connection, seed: int, many: int) -> None:
    """From the first run to where it becomes dense, and by merging."""
    redis.call(b"FLUSHALL")
    ours, rng = Executor(0), random.Random(seed)
    elements = [rng.randbytes(rng.randrange(20)) for _ in range(many)]
    for at in range(0, many, 100):
        key = rng.choice([b"a", b"b"])
        words = [b"PFADD", key, *elements[at : at + 100]]
        assert ours(*words) == redis.call(*words)
        assert ours(b"GET", key) == redis.call(b"GET", key)
    for words in ([b"PFCOUNT", b"a", b"b"], [b"PFMERGE", b"c", b"a", b"b"], [b"GET", b"c"],
                  [b"PFCOUNT", b"a"], [b"PFCOUNT", b"b"], [b"PFCOUNT", b"c"]):
        assert ours(*words) == redis.call(*words), words


def test_the_self_test_passes() -> None:
    assert Alone().connect().say("PFSELFTEST") == b"+OK\r\n"


def test_steps_of_several_keys_are_checked_by_themselves() -> None:
    ours = Executor(0)
    assert ours(b"DYN.PFGET", b"h") == b"$-1\r\n"
    assert ours(b"DYN.PFMERGE", b"h", b"v").startswith(b"-WRONGTYPE Key is not a valid HyperLogLog")
    assert ours(b"DYN.PFMERGE", b"h", b"HYLL\1" + bytes(11)).startswith(b"-INVALIDOBJ")
    assert ours(b"DYN.PFMERGE", b"h", hyperloglog.empty()) == b"+OK\r\n"
    assert ours(b"DYN.PFGET", b"h") == ours(b"GET", b"h")


@given(st.lists(st.integers(0, 40), max_size=9), st.lists(st.integers(0, 40), max_size=9),
       st.booleans())
def test_siblings_are_shown_as_what_all_of_them_have_counted(
    left: list[int], right: list[int], is_dense: bool
) -> None:
    one = hyperloglog.add(hyperloglog.empty(), [b"%d" % each for each in left]) or (
        hyperloglog.stale(hyperloglog.empty()))
    two = hyperloglog.add(hyperloglog.empty(), [b"%d" % each for each in right]) or (
        hyperloglog.stale(hyperloglog.empty()))
    if is_dense:
        one = hyperloglog.to_dense(one)
    a, b = intern_actor(b"a life of node A"), intern_actor(b"a life of node B")
    first = strings.assign(b"", (a, 1, 0, 5), one, 0)
    second = strings.assign(b"", (b, 1, 0, 9), two, 0)
    shown = strings.value(join_records(first, second), 0)
    assert shown == strings.value(join_records(second, first), 0)
    assert shown is not None
    assert hyperloglog.count(shown) == hyperloglog.count_together([one, two])
    wanted = hyperloglog.registers_of(one)
    assert hyperloglog.registers_of(shown) == bytearray(
        map(max, wanted, hyperloglog.registers_of(two)))
    assert hyperloglog.is_dense(shown) == is_dense
    # Beside any other string, the one with the later clock.
    third = strings.assign(b"", (b, 1, 0, 9), b"text", 0)
    assert strings.value(join_records(first, third), 0) == b"text"
    # What has expired is not counted.
    gone = strings.assign(b"", (a, 1, 0, 5), one, 1000)
    assert strings.value(join_records(gone, second), 2000) == two
