"""FUNCTION and FCALL reply as in Redis: the same words at both, one after the other."""

from collections.abc import Iterator

import pytest

from respdyn.types.dump import seal, unseal
from tests.commands.alone import Alone
from tests.commands.real import Connection, running

H = "#!lua name=a\n"
ONE = H + "redis.register_function('f', function(keys, args) return {#keys, #args, args[1]} end)"


def named(fields: str) -> str:
    return H + "redis.register_function{" + fields + "}"


F = "callback=function() return 1 end"

# Each is loaded into an empty server.
LOADS = [
    "", "return 1", "#!lua", "#!lua\n", "#!lua name=\n1", "#!lua name='a\n1", "#!\n1",
    "#!lua name=a", "#!lua name=a b\n", "#!lua name=a-b\nreturn 1", "#!js name=a\n", "#! lua\n1",
    "#!lua name=a name=b\n", "#!lua foo=a\n", "#!LUA name=a\n1", "#!lua name=a\0\n1", H,
    '#!lua name="zz"\nredis.register_function("z", function() return 1 end)',
    "#!lua NAME=q\nredis.register_function('q', function() return 1 end)",
    H + "return 1", H + "return (", H + "x=1", H + "redis.x=1", H + "local x=nil+1",
    H + "local t={} t.x.y=1", H + "while true do end", H + "redis.call('get','x')",
    H + "redis.setresp(3)", H + "local x=cjson", H + "local x=pairs", H + "local x=_G",
    H + "local x=KEYS", H + "redis.log(redis.LOG_DEBUG, ('a'):rep(3))", H + "error('x')",
    H + "redis.register_function()", H + "redis.register_function('f')",
    H + "redis.register_function('f', 1)", H + "redis.register_function(1, function() end)",
    H + "redis.register_function({}, function() end)", H + "redis.register_function('f', f, 1)",
    H + "redis.register_function('a.b', function() end)",
    H + "redis.register_function('', function() end)",
    H + "redis.register_function('f\\0', function() end)",
    H + "redis.register_function('f', redis.log)",
    H + "local function g() end redis.register_function('f',g) redis.register_function('f',g)",
    named("function_name='f'," + F + ",flags={'no-writes','x'}"),
    named("function_name='f'," + F + ",flags='x'"), named("function_name='f'," + F + ",other=1"),
    named("function_name='f'," + F + ",description='hi',flags={'allow-oom','no-writes'}"),
    named("function_name='f'," + F + ",flags={'NO-writes', 'no-cluster', 'no-writes'}"),
    named("function_name='f'," + F + ",flags={'allow-cross-slot-keys', 'allow-stale'}"),
    named("function_name='f'," + F + ",flags={1}"), named("function_name='f'," + F + ",flags={{}}"),
    named("function_name='f'," + F + ",flags={a='no-writes'}"), named(F),
    named("function_name='f'"),
    named("function_name='f', callback=1"), named("function_name={}"), named("[{}]=1"),
    named("1, 2"), named("function_name='f'," + F + ",description={}"),
    named("function_name='f'," + F + ",description=3"), named("FUNCTION_NAME='f'," + F),
    named("function_name=5," + F), named(""), named("function_name='a b'," + F),
]

LIBRARY = """#!lua name=lib
local calls = 0
local function sum(keys, args)
    local n = 0
    for _, one in ipairs(args) do n = n + one end
    return n
end
redis.register_function('sum', sum)
redis.register_function('calls', function() calls = calls + 1 return calls end)
redis.register_function('err', function() error('x') end)
redis.register_function('errt', function() return redis.error_reply('My Err') end)
redis.register_function('Get', function(keys) return redis.call('get', keys[1]) end)
redis.register_function('put', function(keys, args) return redis.call('set', keys[1], args[1]) end)
redis.register_function('bad', function() return redis.call('nosuch') end)
redis.register_function('glob', function() return KEYS end)
redis.register_function('set_glob', function() x = 1 end)
redis.register_function('late', function() return redis.register_function('x', function() end) end)
redis.register_function('has', function() return type(cjson) .. type(redis.call) .. type(_G) end)
redis.register_function('unknown', function() return redis.foo == nil end)
redis.register_function('json', function(k, a) return cjson.encode({a[1], #k}) end)
redis.register_function('many', function(...) return select('#', ...) end)
redis.register_function('caught', function() return {pcall(error, 'y')} end)
redis.register_function('resp', function() redis.setresp(3) return redis.call('hgetall', 'h') end)
redis.register_function('r3', function() return {map={a=1}} end)
redis.register_function('bool', function() return {true, false, 1.5} end)
redis.register_function('noscript', function() return redis.call('fcall', 'sum', 0) end)
redis.register_function('load', function() return redis.call('function', 'flush') end)
redis.register_function('log', redis.log)
redis.register_function{function_name='ro', flags={'no-writes'}, description='reads',
    callback=function(keys) return redis.call('get', keys[1]) end}
redis.register_function{function_name='liar', flags={'no-writes'},
    callback=function(keys) return redis.call('set', keys[1], 1) end}
"""

# Said at both in order, each by a client of its own protocol.
STORY: list[tuple[str, ...]] = [
    ("FUNCTION", "STATS"), ("FUNCTION", "LIST"), ("FUNCTION", "DUMP"),
    ("FCALL", "sum", "0"), ("FUNCTION", "LOAD", LIBRARY), ("FUNCTION", "LOAD", LIBRARY),
    ("FUNCTION", "LOAD", "REPLACE", LIBRARY), ("FUNCTION", "LOAD", "replace", "REPLACE", LIBRARY),
    ("FUNCTION", "STATS"),
    ("FCALL", "sum", "0", "1", "2", "3.5"), ("fcall", "SUM", "0", "7"), ("FCALL_RO", "sum", "0"),
    ("FCALL", "calls", "0"), ("FCALL", "calls", "0"), ("FCALL", "err", "0"), ("FCALL", "errt", "0"),
    ("FCALL", "get", "1", "k"), ("FCALL", "get", "0"), ("FCALL", "put", "1", "k", "v"),
    ("FCALL", "Get", "1", "k"), ("FCALL", "bad", "0"), ("FCALL", "glob", "0"),
    ("FCALL", "set_glob", "0"), ("FCALL", "late", "0"), ("FCALL", "has", "0"),
    ("FCALL", "unknown", "0"), ("FCALL", "json", "1", "k", "x"), ("FCALL", "many", "1", "k", "x"),
    ("FCALL", "caught", "0"), ("HSET", "h", "f", "v"), ("FCALL", "resp", "0"), ("FCALL", "r3", "0"),
    ("FCALL", "bool", "0"), ("FCALL", "noscript", "0"), ("FCALL", "load", "0"),
    ("FCALL", "log", "0"), ("FCALL", "ro", "1", "k"), ("FCALL_RO", "ro", "1", "k"),
    ("FCALL", "liar", "1", "k"), ("FCALL_RO", "liar", "1", "k"), ("FCALL_RO", "put", "1", "k", "x"),
    ("FCALL", "nope", "x"), ("FCALL", "sum", "x"), ("FCALL", "sum", "-1"),
    ("FCALL", "sum", "2", "a"),
    ("FCALL",), ("FCALL", "sum"), ("FCALL_RO", "nope", "0"), ("FCALL_RO", "sum", "2", "a"),
    ("FUNCTION", "LOAD", ONE), ("FUNCTION", "LIST", "LIBRARYNAME", "a", "WITHCODE"),
    ("FUNCTION", "LIST", "LIBRARYNAME", "A"), ("FUNCTION", "LIST", "LIBRARYNAME", "[ab]"),
    ("FUNCTION", "LIST", "LIBRARYNAME", "nothing*"), ("FUNCTION", "LIST", "WITHCODE", "WITHCODE"),
    ("FUNCTION", "LIST", "LIBRARYNAME"),
    ("FUNCTION", "LIST", "LIBRARYNAME", "a", "LIBRARYNAME", "b"),
    ("FUNCTION", "LIST", "what"),
    ("FUNCTION", "LOAD", "#!lua name=b\nredis.register_function('f', function() end)"),
    ("FUNCTION", "LOAD", "#!lua name=b\nredis.register_function('F', function() end)"),
    ("FUNCTION", "LOAD", "REPLACE", "#!lua name=b\nredis.register_function('G', function() end)"),
    ("FUNCTION", "LOAD", "REPLACE"), ("FUNCTION", "LOAD"), ("FUNCTION", "LOAD", "x", "y"),
    ("FUNCTION", "DELETE", "A"), ("FUNCTION", "DELETE", "a"), ("FUNCTION", "DELETE", "a"),
    ("FUNCTION", "DELETE"), ("FCALL", "f", "0"), ("FCALL", "g", "0"),
    ("FUNCTION", "RESTORE", "x"), ("FUNCTION", "RESTORE", "x", "y"),
    ("FUNCTION", "RESTORE", "x", "FLUSH", "z"), ("FUNCTION", "RESTORE"),
    ("FUNCTION", "KILL"), ("FUNCTION", "KILL", "x"), ("FUNCTION", "NOPE"), ("FUNCTION",),
    ("FUNCTION", "STATS", "x"), ("FUNCTION", "DUMP", "x"), ("FUNCTION", "FLUSH", "x"),
    ("FUNCTION", "FLUSH", "SYNC", "x"),
    ("MULTI",), ("FUNCTION", "LOAD", ONE), ("FCALL", "f", "0", "x"), ("FUNCTION", "DELETE", "a"),
    ("FCALL", "g", "0"), ("EXEC",),
    ("FUNCTION", "FLUSH", "async"), ("FUNCTION", "LIST"), ("FCALL", "g", "0"),
    ("EVAL", "return redis.call('function', 'list')", "0"),
    ("EVAL", "#!lua\nreturn 1", "0"),
    ("EVAL", "#!lua flags=no-writes\nreturn redis.call('set','k',1)", "0"),
    ("EVAL", "#!lua flags=\nreturn 2", "0"), ("EVAL", "#!lua flags=x\nreturn 2", "0"),
    ("EVAL", "#!lua name=a\nreturn 2", "0"), ("EVAL", "#!js\nreturn 2", "0"),
    ("EVAL", "#!lua", "0"),
    ("EVAL_RO", "#!lua\nreturn 1", "0"), ("EVAL_RO", "#!lua flags=no-writes\nreturn 1", "0"),
    ("EVAL", "#!lua flags=no-writes,allow-oom\nreturn KEYS", "1", "k"),
    ("SCRIPT", "LOAD", "#!lua flags=allow-stale\nreturn 5"), ("SCRIPT", "LOAD", "#!lua flags=y\n1"),
    ("SCRIPT", "LOAD", "#!lua flags=no-cluster\nerror('z')"),
    ("EVALSHA", "9c5d4dbea6e6a3e4b4d1c9a0f2c8e3e3c8c1a111", "0"),
]


@pytest.fixture(scope="module")
def redis() -> Iterator[Connection]:
    with running() as server:
        yield server.connect()


def words(argv: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(word.encode("latin-1") for word in argv)


def unordered(reply: bytes) -> bytes | list[bytes]:
    """Redis lists functions and flags in an order of its own."""
    return sorted(reply.split(b"\r\n")) if b"library_name" in reply else reply


@pytest.mark.parametrize("code", LOADS)
def test_loading_replies_as_in_redis(redis: Connection, code: str) -> None:
    ours = Alone().connect()
    redis.call(b"FUNCTION", b"FLUSH")
    for argv in (("FUNCTION", "LOAD", code), ("FUNCTION", "LIST"), ("FCALL", "f", "0")):
        assert unordered(ours.call(*words(argv))) == unordered(redis.call(*words(argv)))


@pytest.mark.parametrize("protocol", [b"2", b"3"])
def test_a_story_of_functions_is_answered_as_in_redis(redis: Connection, protocol: bytes) -> None:
    ours = Alone().connect()
    redis.call(b"FUNCTION", b"FLUSH")
    redis.call(b"FLUSHALL")
    replies = []
    for argv in (("HELLO", protocol.decode()), *STORY, ("HELLO", "2")):
        replies.append((argv, ours.call(*words(argv)), redis.call(*words(argv))))
    for argv, our, their in replies[1:-1]:
        assert unordered(our) == unordered(their), argv


def bulk_of(reply: bytes) -> bytes:
    return reply.partition(b"\r\n")[2][:-2]


def test_each_restores_what_the_other_dumps(redis: Connection) -> None:
    ours = Alone().connect()
    for giver, taker in ((redis, ours), (ours, redis)):
        for one in (giver, taker):
            one.call(b"FUNCTION", b"FLUSH")
        giver.call(*words(("FUNCTION", "LOAD", LIBRARY)))
        giver.call(*words(("FUNCTION", "LOAD", ONE)))
        dump = bulk_of(giver.call(b"FUNCTION", b"DUMP"))
        assert taker.call(b"FUNCTION", b"RESTORE", dump) == b"+OK\r\n"
        assert taker.call(*words(("FCALL", "sum", "0", "4"))) == b":4\r\n"
        listed = [one.call(b"FUNCTION", b"LIST", b"WITHCODE") for one in (giver, taker)]
        assert unordered(listed[0]) == unordered(listed[1])


def test_restoring_replies_as_in_redis(redis: Connection) -> None:
    ours = Alone().connect()
    other = "#!lua name=b\nredis.register_function('F', function() return 'other' end)"
    dumps = {}
    given = {"one": [ONE], "other": [other], "both": [ONE, LIBRARY], "none": []}
    for name, codes in given.items():
        redis.call(b"FUNCTION", b"FLUSH")
        for code in codes:
            redis.call(*words(("FUNCTION", "LOAD", code)))
        dumps[name] = bulk_of(redis.call(b"FUNCTION", b"DUMP"))
    for one in (redis, ours):
        one.call(b"FUNCTION", b"FLUSH")
    for name, policy in (
        ("one", "append"), ("one", "APPEND"), ("other", "APPEND"), ("other", "REPLACE"),
        ("both", "APPEND"), ("both", "REPLACE"), ("other", "FLUSH"), ("none", "REPLACE"),
        ("none", "FLUSH"), ("both", ""),
    ):
        argv = (b"FUNCTION", b"RESTORE", dumps[name], *([policy.encode()] if policy else []))
        assert ours.call(*argv) == redis.call(*argv), (name, policy)
        for asked in (("FCALL", "f", "0"), ("FUNCTION", "LIST")):
            assert unordered(ours.call(*words(asked))) == unordered(redis.call(*words(asked)))


def test_a_hostile_payload_is_refused_and_changes_nothing() -> None:
    ours = Alone().connect()
    ours.call(*words(("FUNCTION", "LOAD", ONE)))
    packed = unseal(bulk_of(ours.call(b"FUNCTION", b"DUMP")))
    before = ours.call(b"FUNCTION", b"LIST", b"WITHCODE")
    hostile = [packed[:size] for size in range(1, len(packed), 7)]
    hostile += [packed + bytes([byte]) for byte in range(0, 256, 5)]
    hostile += [
        bytes([245, *length]) + packed[2:] for length in (
            (0xC0,), (0xC3, 0xFF, 0xFF), (0x80, 255, 255, 255, 255), (0x81, *[255] * 8), (0xC4,),
            (0xC3, 5, 0x80, 255, 255, 255, 255), (0,), (0xC2, 0, 0),
        )
    ]
    hostile += [b"\xf6" + packed[1:], b"\x00" + packed[1:], packed * 2, bytes(3), b"\xf5" * 40]
    for body in hostile:
        assert ours.call(b"FUNCTION", b"RESTORE", seal(body), b"REPLACE")[:5] == b"-ERR ", body
    assert ours.call(b"FUNCTION", b"LIST", b"WITHCODE") == before
