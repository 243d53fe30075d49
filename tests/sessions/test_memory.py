"""Memory as INFO and MEMORY STATS show it, and `maxmemory`."""

import pytest

from respdyn.node import Node
from respdyn.sessions import memory
from respdyn.types import values
from tests.commands.alone import Alone
from tests.commands.real import Redis
from tests.little import Little
from tests.local.test_operating import later, stats


def _held(node: Node) -> int:
    return sum(
        len(name) + len(record) for table in node.replica.slots for name, record in table.items()
    )


def test_used_memory_follows_the_data() -> None:
    alone = Alone()
    client = alone.connect()

    def used() -> int:
        return int(stats(client, "memory")["used_memory"])

    empty = before = used()
    for size in (10, 1000, 100_000):
        client.say(f"SET k{size} {'x' * size}")
        now = used()
        assert size < now - before < size + 400     # name, record, what Python spends on both
        before = now
    client.say("APPEND k10 " + "y" * 5000)
    assert 5000 <= used() - before < 5100
    client.say("SET k100000 small")
    client.say("INCRBYFLOAT n 1.5")
    client.say("DYN.PUTCTX s \"\" one")
    client.say("RENAME k1000 k")
    assert used() < before - 90_000 and _held(alone.node) == alone.node.replica.bytes
    fields = stats(client, "memory")
    assert int(fields["used_memory_peak"]) >= before
    assert int(fields["used_memory_dataset"]) + int(fields["used_memory_overhead"]) == used()
    client.say("FLUSHALL")
    assert used() == empty and alone.node.replica.bytes == 0
    info = client.say("MEMORY STATS")
    assert b"startup.allocated" in info and b"dataset.bytes\r\n:0\r\n" in info


def test_info_shows_how_many_keys_have_a_time_to_live_and_how_long(redis_server: Redis) -> None:
    client, theirs = Alone().connect(), redis_server.connect()
    theirs.call(b"FLUSHALL")

    def row(reply: bytes, db: int) -> str:
        return reply.decode().split(f"db{db}:")[1].split("\r\n")[0].split(",avg_ttl")[0]

    story = [
        "SET a 1", "SET b 1 EX 100", "SET c 1 PX 300000", "SETEX d 500 v", "EXPIRE a 100",
        "PERSIST a", "SET b 2", "SET b 3 EX 200", "SET d 1 KEEPTTL", "INCR n", "EXPIRE n 300",
        "DEL d", "GETEX c PERSIST", "EXPIRE c 400", "COPY c e", "RENAME e f", "APPEND f x",
        "SELECT 3", "SET x 1 EX 50", "SET y 1",
    ]
    for line in story:
        theirs.call(*line.encode().split(b" "))
        client.say(line)
        for db in (0, 3) if "SELECT 3" in story[: story.index(line)] else (0,):
            mine = row(client.say("INFO keyspace"), db)
            assert mine == row(theirs.call(b"INFO", b"keyspace"), db), line
    info = client.say("INFO keyspace").decode()
    assert "avg_ttl=325000" in info and "avg_ttl=50000" in info   # of 200, 300, 400 and 400; of 50
    client.say("FLUSHALL")
    assert b"db0" not in client.say("INFO keyspace")
    theirs.close()


def test_many_clients_are_looked_at_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LOOKS_MAX", 3)
    alone = Alone()
    account = alone.node.sessions.memory
    all_clients = [alone.connect() for _ in range(10)]
    assert account.sample() == 10 * memory.CONNECTION_BYTES
    all_clients[7].session.out_bytes = 5000
    grown = [account.sample() for _ in range(4)]
    assert grown[0] == 10 * memory.CONNECTION_BYTES and grown[-1] == grown[0] + 5000
    alone.node.close_session(all_clients[7].session)
    assert account.sample() == 9 * memory.CONNECTION_BYTES
    for client in all_clients:
        alone.node.close_session(client.session)
    assert account.sample() == 0


def test_what_is_held_is_counted_at_all_replicas_through_joins_and_restarts() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    for number in range(30):
        a("SET", f"key{number}", "v" * number)
        b("DYN.PUTCTX", f"key{number}", "", "w" * number)
        b("INCR", f"count{number % 7}")
        a("SET", f"timed{number % 11}", number, "EX", 1000)
        b("EXPIRE", f"count{number % 3}", 500)
        b("PERSIST", f"timed{number % 5}")
        if number % 3 == 0:
            a("DEL", f"key{number}")
    little.run(50)
    little.kill("C")
    a("SET", "key1", "while C was away")
    little.boot("C")
    little.ready().run(3000)
    for name in "ABC":
        replica = little[name].replica
        assert _held(little[name]) == replica.bytes > 0
        records = [record for table in replica.slots for record in table.values()]
        assert sum(replica.live[0]) == sum(record[1] & 4 > 0 for record in records)
        timed = sum(bool(values.expire_at(record, 0)) for record in records)
        assert sum(replica.timed[0]) == timed > 0


def test_writes_are_refused_when_memory_is_full_and_reads_are_not() -> None:
    alone = Alone()
    client = alone.connect()
    client.say("SET k v")
    alone.node.sessions.memory.startup = 40_000_000    # what the interpreter needs does not count
    fields = stats(client, "memory")
    used = int(fields["used_memory"]) - int(fields["used_memory_startup"])
    assert int(fields["mem_not_counted_for_evict"]) == 40_000_000
    client.say(f"CONFIG SET maxmemory {used + 10_000}")
    client.say("SET large " + "x" * 10_000)         # refused are those behind it
    later(alone, 1)
    oom = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    for line in (
        "SET k w", "SET n 1", "INCR n", "APPEND k x", "MSET a 1 b 2", "DYN.WITH R 1 SET a b",
        "DYN.PLACE a b COPY_TO",
    ):
        assert client.say(line) == oom, line
    assert client.say("GET k") == b"$1\r\nv\r\n"
    assert client.say("EXPIRE k 100") == b":1\r\n"
    assert stats(client, "memory")["maxmemory"] == str(used + 10_000)
    assert client.say("DEL large") == b":1\r\n"
    later(alone, 1)
    assert client.say("SET k w") == b"+OK\r\n"
    client.say("SET large " + "x" * 10_000)
    later(alone, 1)
    assert client.say("SET k w") == oom
    client.say("CONFIG SET maxmemory 0")
    assert client.say("SET k w") == b"+OK\r\n"
