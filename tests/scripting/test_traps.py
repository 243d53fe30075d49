"""What is easily got wrong where scripts wait, begin again, and share a process."""

import pytest

from tests.commands.alone import Alone
from tests.commands.real import encode
from tests.little import Little
from tests.scripting.test_scripts import pass_time, sha, stuck

OWN = "local x = redis.call('get', ARGV[1]) return {KEYS[1], ARGV[1], x or 'none'}"
SORTS = """
redis.call('publish', 'c', 'hi')
redis.call('incr', KEYS[1])
local t = {3, 1, 2}
table.sort(t, function(a, b)
    redis.call('get', ARGV[1])
    redis.call('get', ARGV[2])
    return a < b
end)
return redis.call('incr', KEYS[1])
"""


@pytest.mark.parametrize("later_ms", range(4))
def test_dots_of_an_undeclared_key_are_made_after_it_was_taken(later_ms: int) -> None:
    little = Little(3).ready()
    a, b = little.key_of("A"), little.key_of("B")
    script = "redis.call('incr', KEYS[1]) return redis.call('incr', ARGV[1])"
    for undeclared in (b, little.key_of("A", "other")):
        one, two = little.client("A"), little.client("C")
        one.send("EVAL", script, 1, a, undeclared)
        little.run(later_ms)
        two.send("INCRBY", undeclared, 10)
        assert isinstance(one.receive(), int) and isinstance(two.receive(), int)
        for name in "ABC":
            assert little.client(name)("GET", undeclared) == b"11"


def test_a_script_that_begins_again_has_its_effects_once() -> None:
    alone = Alone()
    client, listener = alone.connect(), alone.connect()
    listener.say("SUBSCRIBE c")
    assert client.call(b"EVAL", SORTS.encode(), b"1", b"k", b"x", b"y") == b":2\r\n"
    alone.turn()
    assert alone.node.counters.scripts_begun_again == 2
    assert listener.session.take().count(b"hi") == 1
    assert client.call(b"GET", b"k") == b"$1\r\n2\r\n"


def test_two_runs_of_one_script_see_their_own_words() -> None:
    little = Little(3).ready()
    names = [little.key_of(name) for name in "ABC"]
    clients = [little.client("A") for _ in names]
    for client, name in zip(clients, names, strict=True):
        client.send("EVAL", OWN, 1, names[0], name)
    for client, name in zip(clients, names, strict=True):
        assert client.receive() == [names[0].encode(), name.encode(), b"none"]


def test_two_calls_of_one_function_have_an_instance_of_its_library_each() -> None:
    little = Little(3).ready()
    names = [little.key_of(name) for name in "BCA"]
    code = (
        "#!lua name=l\nlocal said redis.register_function('f', function(keys, args)"
        " said = args[1] redis.call('get', args[1]) return said end)"
    )
    little.client("A")("FUNCTION", "LOAD", code)
    clients = [little.client("A") for _ in names]
    for client, name in zip(clients, names, strict=True):
        client.send("FCALL", "f", 1, names[2], name)
    for client, name in zip(clients, names, strict=True):
        assert client.receive() == name.encode()


def test_a_wait_passes_through_what_cannot_wait_and_a_coroutine_of_the_script() -> None:
    client = Alone().connect()
    client.call(b"SET", b"far", b"v")
    for script in (
        b"return {pcall(string.gsub, 'x', 'x', function() return redis.call('get', 'far') end)}",
        b"return {true, coroutine.wrap(function() return redis.call('get', 'far') end)(), 1}",
        b"return {pcall(function() local t = setmetatable({}, {__index = function()"
        b" return redis.call('get', 'far') end}) return t.x, 1 end)}",
    ):
        assert client.call(b"EVAL", script, b"0") == b"*3\r\n:1\r\n$1\r\nv\r\n:1\r\n", script


def test_what_ends_a_script_is_caught_by_nothing() -> None:
    client = Alone().connect()
    script = (
        b"pcall(function() coroutine.wrap(function() pcall(function() while true do end end)"
        b" while true do end end)() end) redis.call('set', 'k', 1) return 1"
    )
    assert client.call(b"EVAL", script, b"0").startswith(b"-TIMEOUT")
    assert client.call(b"GET", b"k") == b"$-1\r\n"


def test_the_keys_of_a_script_whose_client_has_left_are_let_go() -> None:
    alone, _ = stuck(False)
    client, other = alone.connect(), alone.connect()
    client.offer(encode([b"EVAL", b"return redis.call('incr', KEYS[1])", b"1", b"k"]))
    alone.turn()
    alone.node.sessions.close_session(client.session)
    pass_time(alone, 1950)
    pass_time(alone, 300)
    assert not alone.node.dispatcher.busy and alone.node.is_idle()
    assert other.call(b"INCR", b"k") == b":1\r\n"


def test_writes_that_come_after_a_hold_has_ended_are_not_made() -> None:
    little = Little(3).ready()
    a, b = little.key_of("A"), little.key_of("B")
    client = little.client("A")
    client.send("EVAL", "redis.call('set', KEYS[2], 'script') return 1", 2, a, b)
    little.run(1)
    little.holds.add((0, 1))                # what A has written does not come to B
    little.run(3000)
    assert little.client("B")("SET", b, "next") == b"OK"
    little.heal()
    reply = client.receive()
    little.run(2000)
    for name in "ABC":
        value = little.client(name)("GET", b)
        assert value == b"next" or (reply == 1 and value == b"script"), (reply, value)


def test_scripts_that_differ_by_their_values_do_not_fill_the_memory() -> None:
    alone = Alone()
    scripts = alone.node.scripts
    alone.connect().call(b"SCRIPT", b"LOAD", b"return 'kept'")
    for number in range(100_000):
        scripts.keep(f"{number:040x}", b"x" * 100, False)
    assert scripts.count()[0] <= 10_000
    for number in range(200):
        scripts.keep(f"{number:x}", b"x" * (1 << 20), False)
    assert scripts.count()[1] <= 64 << 20
    assert scripts.find(sha("return 'kept'")) is not None


@pytest.mark.parametrize(("script", "reply"), [
    ("return {err='a\\r\\n+OK'}", b"-a  +OK\r\n"),
    ("return redis.error_reply('a\\r\\n+OK')", b"-ERR a  +OK\r\n"),
    ("return redis.status_reply('a\\r\\n+OK')", b"+a  +OK\r\n"),
    ("return {{ok='a\\r\\n+OK'}}", b"*1\r\n+a  +OK\r\n"),
])
def test_a_reply_of_one_line_stays_one_line(script: str, reply: bytes) -> None:
    assert Alone().connect().call(b"EVAL", script.encode(), b"0") == reply


def test_the_text_of_an_error_stays_one_line() -> None:
    for raised in (b"error('a\\r\\n+OK')", b"error({err='a\\r\\n+OK'})"):
        reply = Alone().connect().call(b"EVAL", raised, b"0")
        assert reply.startswith(b"-") and reply.index(b"\r\n") == len(reply) - 2


# As redis-server 7.0.15 replies.
NUMBERS = {
    b"9007199254740993": b"9007199254740992", b"1e15": b"1000000000000000", b"3.99": b"3",
    b"-3.99": b"-3", b"-0": b"0", b"0/0": b"-9223372036854775808",
    b"1/0": b"-9223372036854775808", b"-1/0": b"-9223372036854775808",
    b"2^63": b"-9223372036854775808",
}
WORDS = {
    b"2^53": b"9007199254740992", b"1e15": b"1000000000000000", b"-0": b"-0",
    b"3.99": b"3.9900000000000002", b"0/0": b"-nan", b"1/0": b"inf",
    b"1e300": b"1.0000000000000001e+300",
}


def test_numbers_are_replied_and_written_as_in_redis() -> None:
    client = Alone().connect()
    for number, reply in NUMBERS.items():
        assert client.call(b"EVAL", b"return " + number, b"0") == b":%b\r\n" % reply
    for number, word in WORDS.items():
        client.call(b"EVAL", b"redis.call('set', KEYS[1], %b)" % number, b"1", b"k")
        assert client.call(b"GET", b"k") == b"$%d\r\n%b\r\n" % (len(word), word)


USERDATA = b"""
local seen, found = {}, {}
local function look(v, name)
    if type(v) == 'userdata' and v ~= cjson.null then found[#found + 1] = name end
    if type(v) ~= 'table' or seen[v] then return end
    seen[v] = true
    for k, one in pairs(v) do look(k, name) look(one, name .. '.' .. tostring(k)) end
end
for name, one in pairs({redis, cjson, cmsgpack, bit, struct, string, table, math, coroutine}) do
    look(one, name)
end
local calls = {
    {'get', 'none'}, {'set', 'k', 'v'}, {'get', 'k'}, {'lpush', 'k', 'v'}, {'nothing'}, {'get'},
    {'hset', 'h', 'f', 'v'}, {'hgetall', 'h'}, {'lrange', 'l', '0', '-1'}, {'time'}, {'keys', '*'},
    {'zadd', 'z', '1.5', 'm'}, {'zrange', 'z', '0', '-1', 'withscores'}, {'config', 'get', 'port'},
}
for protocol = 2, 3 do
    redis.setresp(protocol)
    for _, words in ipairs(calls) do
        look(redis.pcall(unpack(words)), words[1])
        look({pcall(redis.call, unpack(words))}, words[1])
    end
end
look({pcall(redis.call)}, 'call')
look({pcall(redis.call, {})}, 'call')
look({pcall(redis.sha1hex)}, 'sha1hex')
look({pcall(redis.acl_check_cmd, 'no')}, 'acl_check_cmd')
return found
"""


def test_no_object_of_python_reaches_a_script() -> None:
    assert Alone().connect().call(b"EVAL", USERDATA, b"0") == b"*0\r\n"
