"""Every command on a key of many elements: who wants a few of them does not go through all.

As in `test_long_turns`, lines of the node's code are counted, of the longest turn. What asks for
all elements passes some lines for each, in one turn (decision 0050): those are named here, so that
no other command becomes one of them unseen, and none may pass more than so many for each.
"""

import pytest

from respdyn.commands.table import COMMANDS
from tests.cluster.test_long_turns import Caller, Watched

MANY = 3_000
LINES_FEW = 15_000          # of a turn that is to touch some elements
LINES_EACH = 120            # of one that goes through all, for each element
LINES_TAKEN = 2_000         # of one that takes elements away, for each that is taken
LINES_COPIED = 600          # of one that makes all elements anew at another key, for each
GROUPS = ("hash", "set", "sorted-set", "list", "stream", "geo")

# What is there: a key of each type.
MADE = {
    "h": ("HSET", "f{0} v{0}"), "s": ("SADD", "m{0}"), "z": ("ZADD", "{0} m{0}"),
    "l": ("RPUSH", "e{0}"), "t": ("XADD", "{0}-1 f v"),
}

FEW = {
    "hdel": "HDEL h f5", "hexists": "HEXISTS h f5", "hget": "HGET h f5",
    "hincrby": "HINCRBY counted n 1",
    "hincrbyfloat": "HINCRBYFLOAT counted n 1", "hlen": "HLEN h", "hmget": "HMGET h f1 f2",
    "hmset": "HMSET h f1 1", "hrandfield": "HRANDFIELD h 3", "hscan": "HSCAN h 0",
    "hset": "HSET h f9 2", "hsetnx": "HSETNX h new 1", "hstrlen": "HSTRLEN h f5",
    "sadd": "SADD s new", "scard": "SCARD s", "sismember": "SISMEMBER s m5",
    "smismember": "SMISMEMBER s m5 m6", "spop": "SPOP s 2", "srandmember": "SRANDMEMBER s 3",
    "srem": "SREM s m5", "sscan": "SSCAN s 0", "smove": "SMOVE s other m5",
    "zadd": "ZADD z 5 new", "zcard": "ZCARD z", "zincrby": "ZINCRBY z 1 m5",
    "zmscore": "ZMSCORE z m5 m6", "zrem": "ZREM z m5", "zscore": "ZSCORE z m5",
    "zscan": "ZSCAN z 0", "zrandmember": "ZRANDMEMBER z 3",
    "geodist": "GEODIST z m5 m6", "geohash": "GEOHASH z m5", "geopos": "GEOPOS z m5",
    "geoadd": "GEOADD z 1 1 new",
    "llen": "LLEN l", "lpush": "LPUSH l new", "rpush": "RPUSH l new", "lpushx": "LPUSHX l new",
    "rpushx": "RPUSHX l new", "lpop": "LPOP l", "rpop": "RPOP l", "lindex": "LINDEX l 5",
    "lrange": "LRANGE l 0 3", "lmove": "LMOVE l l LEFT RIGHT", "rpoplpush": "RPOPLPUSH l l",
    "xadd": "XADD t * f v", "xlen": "XLEN t", "xdel": "XDEL t 5-1",
    "xrange": "XRANGE t - + COUNT 3",
    "xrevrange": "XREVRANGE t + - COUNT 3", "xread": "XREAD COUNT 3 STREAMS t 0",
    "xgroup|create": "XGROUP CREATE t g2 $", "xinfo|stream": "XINFO STREAM t",
    "xinfo|groups": "XINFO GROUPS t",
}

# The last of these are on a hash in which a field has a time to live.
ALL = {
    "hgetall": "HGETALL h", "hkeys": "HKEYS h", "hvals": "HVALS h", "smembers": "SMEMBERS s",
    "sinter": "SINTER s s", "sunion": "SUNION s s", "sdiff": "SDIFF s no",
    "sintercard": "SINTERCARD 2 s s", "sinterstore": "SINTERSTORE o s s",
    "sunionstore": "SUNIONSTORE o s", "sdiffstore": "SDIFFSTORE o s", "zrange": "ZRANGE z 0 -1",
    "zrevrange": "ZREVRANGE z 0 -1", "zrank": "ZRANK z m2000", "zrevrank": "ZREVRANK z m2",
    "zcount": "ZCOUNT z -inf +inf", "zlexcount": "ZLEXCOUNT z - +",
    "zrangebyscore": "ZRANGEBYSCORE z -inf +inf",
    "zrevrangebyscore": "ZREVRANGEBYSCORE z +inf -inf", "zrangebylex": "ZRANGEBYLEX z - +",
    "zrevrangebylex": "ZREVRANGEBYLEX z + -", "zrangestore": "ZRANGESTORE o z 0 -1",
    "zunion": "ZUNION 1 z", "zinter": "ZINTER 2 z z", "zdiff": "ZDIFF 2 z no",
    "zintercard": "ZINTERCARD 2 z z", "zunionstore": "ZUNIONSTORE o 1 z",
    "zinterstore": "ZINTERSTORE o 1 z", "zdiffstore": "ZDIFFSTORE o 2 z no",
    "geosearch": "GEOSEARCH z FROMLONLAT 0 0 BYRADIUS 9999 km",
    "georadius": "GEORADIUS z 0 0 9999 km", "georadius_ro": "GEORADIUS_RO z 0 0 9999 km",
    "geosearchstore": "GEOSEARCHSTORE o z FROMLONLAT 0 0 BYRADIUS 9999 km",
    "lpos": "LPOS l e2900", "linsert": "LINSERT l BEFORE e2900 new", "lset": "LSET l 2000 new",
    "lrem": "LREM l 0 e2900", "ltrim": "LTRIM l 1 -2", "xtrim": "XTRIM t MAXLEN 2000",
    "xreadgroup": "XREADGROUP GROUP g me COUNT 1000 STREAMS t >",
    "xpending": "XPENDING t g - + 1000", "xack": "XACK t g 1001-1",
    "xautoclaim": "XAUTOCLAIM t g me 0 0", "sort": "SORT l ALPHA", "dump": "DUMP s",
    "expire": "EXPIRE s 1000", "type": "TYPE s", "object|encoding": "OBJECT ENCODING s",
        "hexpire": "HEXPIRE h 1000 FIELDS 1 f5", "hpexpire": "HPEXPIRE h 100000 FIELDS 1 f5",
    "hexpireat": "HEXPIREAT h 9999999999 FIELDS 1 f5",
    "hpexpireat": "HPEXPIREAT h 9999999999999 FIELDS 1 f5",
    "hexpiretime": "HEXPIRETIME h FIELDS 1 f5", "hpexpiretime": "HPEXPIRETIME h FIELDS 1 f5",
    "httl": "HTTL h FIELDS 1 f5", "hpttl": "HPTTL h FIELDS 1 f5",
    "hpersist": "HPERSIST h FIELDS 1 f5", "hgetdel": "HGETDEL h FIELDS 1 f6",
    "hgetex": "HGETEX h EX 1000 FIELDS 1 f7", "hsetex": "HSETEX h EX 1000 FIELDS 1 f8 v",
}

TAKEN = {
    "ZPOPMIN z 500": 500,
    "ZPOPMAX z 500": 500,
    "ZMPOP 1 z MIN COUNT 100": 100,
    "ZREMRANGEBYRANK z 0 99": 100,
    "ZREMRANGEBYSCORE z 0 900": 200,
    "LMPOP 1 l LEFT COUNT 500": 500,
    "ZREMRANGEBYLEX z - [m1": 100,
}

COPIED = ("COPY s o REPLACE", "RENAME s renamed")

# In pieces, and measured in `test_long_turns`; or made of those above, or of one that waits.
ELSEWHERE = frozenset((
    "blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin",
    "georadiusbymember", "georadiusbymember_ro", "xclaim", "xsetid", "xgroup|createconsumer",
    "xgroup|delconsumer", "xgroup|destroy", "xgroup|setid", "xgroup|help", "xinfo|consumers",
    "xinfo|help",
))


@pytest.fixture(scope="module")
def watched() -> Watched:
    """Large keys, made without measuring."""
    watched = Watched()
    session = watched.alone.connect().session
    for key, (name, words) in MADE.items():
        for number in range(1, MANY + 1):
            argv = (name, key, *words.format(number).split())
            watched.node.sessions.command(session, [word.encode() for word in argv])
        watched.alone.turn()
        session.take()
    watched.node.sessions.command(session, [b"XGROUP", b"CREATE", b"t", b"g", b"0"])
    watched.alone.turn()
    return watched


def longest(watched: Watched, client: Caller, call: str) -> int:
    """Lines of the longest turn of a call that succeeds."""
    watched.longest = 0
    reply = client(*[word.encode() for word in call.split()])
    assert not isinstance(reply, str), reply
    return watched.longest


def test_who_wants_some_elements_does_not_go_through_all(watched: Watched) -> None:
    client = watched.connect()
    for call in FEW.values():
        assert longest(watched, client, call) <= LINES_FEW, call


def test_who_wants_all_passes_some_lines_for_each(watched: Watched) -> None:
    client = watched.connect()
    for call in ALL.values():
        assert longest(watched, client, call) <= LINES_EACH * MANY, call
    for call, count in TAKEN.items():
        assert longest(watched, client, call) <= LINES_TAKEN * count, call
    for call in COPIED:
        assert longest(watched, client, call) <= LINES_COPIED * MANY, call
    assert longest(watched, client, "DEL renamed h z l t") <= LINES_EACH * MANY


def test_every_command_on_elements_is_measured() -> None:
    named = {
        one.name for command in COMMANDS for one in (command.subcommands or (command,))
        if one.group in GROUPS and not one.name.startswith("dyn.")
    }
    known = FEW.keys() | ALL.keys() | ELSEWHERE | {call.split()[0].lower() for call in TAKEN}
    assert named <= known, sorted(named - known)
    assert not known - {
        one.name for command in COMMANDS for one in (command, *command.subcommands)
    }
