"""CONFIG as Redis has it, for every setting that Redis has: at redis-server and at respdyn."""

import random
from collections.abc import Iterator

import pytest

from respdyn.config_redis import BY_NAME, FIXED
from tests.commands.alone import Alone, Client
from tests.commands.real import Connection, Redis, running

VALUES = (
    "", "x", "0", "1", "-1", "-5", "7", "00", "01", "+1", "-0", "1.5", "99", "100", "101", "1000",
    "65535", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "1kb", "3K", "10mb",
    "1g", "2GB", "5b", "5t", "-1kb", "5%", "101%", "-5%", "yes", "no", "YES", "true", "default",
    "save", "nosave now", "save nosave", "force now", "default now", "debug", "Verbose", "ip",
    "hostname", "relative", "on-empty-db", "panic", "clients", "a_b", "a.b-c", "a" * 256, "{x}",
    "{title}", "{port} x", "{", "900 1", "900 1 300 10", "900", "0 1", "1 -1", "1 2 3",
    "-5 0 2000", "0 0 2001", "50 99.9", "99.90", "0 100", "100.1", "-0.5", "nan", "50  60",
    "allkeys-lru", "noeviction", "allchannels", "always", "everysec",
)
# Real settings of respdyn whose range is its own; the rest of their checks are Redis's.
OWN_RANGE = {
    "maxmemory", "proto-max-bulk-len", "client-query-buffer-limit", "tracking-table-max-keys",
    "slowlog-max-len", "slowlog-log-slower-than", "acllog-max-len", "latency-monitor-threshold",
}
# Fixed here when a node starts, or checked by respdyn in its own way; Redis changes them.
OWN_WAY = {
    "bind", "port", "tls-port", "tls-cluster", "tls-replication", "tls-auth-clients",
    "tls-ca-cert-dir", "tls-ca-cert-file", "tls-cert-file", "tls-key-file", "tls-key-file-pass",
    "tls-ciphers", "tls-protocols", "requirepass", "client-output-buffer-limit",
    "protected-mode", "maxclients",
}


# True here is another value than Redis begins with; redis-server was started with `--save ""`.
OWN_DEFAULT = {"appendfsync", "appendonly", "cluster-require-full-coverage"}


def both(argv: list[str], mine: Client, theirs: Connection) -> tuple[bytes, bytes]:
    words = [word.encode() for word in argv]
    return mine.call(*words), theirs.call(*words)


@pytest.fixture
def server() -> Iterator[Redis]:
    with running() as redis:
        yield redis


def names_of(connection: Connection) -> list[str]:
    words = connection.call(b"CONFIG", b"GET", b"*").decode().split("\r\n")[2::2]
    return sorted(words[0::2])


def test_every_setting_of_redis_is_there(server: Redis) -> None:
    theirs = server.connect()
    ours = Alone().connect().call(b"CONFIG", b"GET", b"*").decode().split("\r\n")[2::2][0::2]
    assert set(names_of(theirs)) - set(ours) == {"tls-key-file-pass"}     # a secret
    known = {*BY_NAME, *FIXED}
    assert known <= set(names_of(theirs))       # and none is invented


def test_what_is_accepted_is_checked_remembered_and_shown_as_in_redis(server: Redis) -> None:
    theirs, mine = server.connect(), Alone(durability="always").connect()
    differ = []
    for name in sorted(BY_NAME):
        held = mine.call(b"CONFIG", b"GET", name.encode()).decode().split("\r\n")[4]
        assert name in OWN_DEFAULT or held == _default(theirs, name), name
        both(["CONFIG", "SET", name, held], mine, theirs)
        for value in VALUES:
            ours, real = both(["CONFIG", "SET", name, value], mine, theirs)
            shown, wanted = both(["CONFIG", "GET", name], mine, theirs)
            if real == b"+OK\r\n" != ours and _is_refused_here(name, ours):
                theirs.call(b"CONFIG", b"SET", name.encode(), held.encode())
            elif (ours, shown) != (real, wanted) and (name, value) != ("appendonly", "YES"):
                differ.append((name, value, ours, real, shown, wanted))
        both(["CONFIG", "SET", name, held], mine, theirs)
    assert not [row[:4] for row in differ]


def _default(connection: Connection, name: str) -> str:
    return connection.call(b"CONFIG", b"GET", name.encode()).decode().split("\r\n")[4]


def _is_refused_here(name: str, reply: bytes) -> bool:
    reason = BY_NAME[name].only or ("engine is memory" if name == "appendonly" else "")
    return bool(reason) and reason.encode() in reply


def test_what_is_real_here_is_checked_as_in_redis(server: Redis) -> None:
    theirs = server.connect()
    names = set(names_of(theirs)) - set(BY_NAME) - OWN_WAY
    for name in sorted(names):
        mine = Alone().connect()
        for value in VALUES:
            ours, real = both(["CONFIG", "SET", name, value], mine, theirs)
            if name in OWN_RANGE and b"must be between" in ours:
                continue        # a narrower range, refused in the same words
            if name in OWN_RANGE and real == b"+OK\r\n":
                assert _shown(mine, name) == _shown(theirs, name), (name, value)
            assert ours == real, (name, value)
            assert name in FIXED or name in OWN_RANGE or (
                _shown(mine, name) == _shown(theirs, name)
            ), (name, value)


def _shown(connection: Client | Connection, name: str) -> bytes:
    """Nothing of what is the server's own place, or has another default."""
    own = ("dir", "port", "enable-debug-command", "cluster-port", "aclfile")
    return b"" if name in own else connection.call(b"CONFIG", b"GET", name.encode())


def test_several_at_once_are_all_or_nothing_as_in_redis(server: Redis) -> None:
    rng = random.Random(4)
    theirs, mine = server.connect(), Alone().connect()
    theirs.call(b"CONFIG", b"SET", b"maxmemory-clients", b"0")
    names = ["hz", "HZ", "loglevel", "save", "maxmemory", "timeout", "lua-time-limit", "nope",
             "busy-reply-threshold", "databases", "dir", "hash-max-listpack-value", "daemonize"]
    watched = ["hz", "loglevel", "save", "maxmemory", "timeout", "lua-time-limit",
               "hash-max-listpack-value"]
    for name in watched:
        both(["CONFIG", "SET", name, BY_NAME[name].default if name in BY_NAME else "0"],
             mine, theirs)
    for _ in range(400):
        pairs = [
            word for name in rng.choices(names, k=rng.randrange(1, 5))
            for word in (name, rng.choice(["5", "x", "debug", "900 1", "1kb", ""]))
        ]
        ours, real = both(["CONFIG", "SET", *pairs], mine, theirs)
        assert ours == real, pairs
        for pattern in (*watched, "lazy*", "HASH-MAX-LISTPACK-VALUE", "hash-max-*"):
            ours, real = both(["CONFIG", "GET", pattern], mine, theirs)
            assert sorted(ours.split(b"\r\n")) == sorted(real.split(b"\r\n")), (pairs, pattern)
