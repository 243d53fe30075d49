"""Transactions in a little cluster: one step at each coordinator, and what failures do to them."""

import time
from typing import cast

from tests.little import Client, Little


def transaction(client: Client, *lines: str) -> object:
    """Send MULTI, these commands and EXEC at once; EXEC's reply."""
    client.send("MULTI")
    for line in lines:
        client.send(*line.split())
    client.send("EXEC")
    for _ in range(len(lines) + 1):
        assert client.receive() in (b"OK", b"QUEUED")
    return client.receive()


def held(little: Little, name: str, key: str) -> bytes:
    """What one replica holds."""
    client = little.client(name)
    reply = client("DYN.WITH", "R", 1, "GET", key)
    return reply if isinstance(reply, bytes) else b""


def test_keys_of_all_coordinators_in_one_transaction() -> None:
    little = Little(3).ready()
    a, b, c = (little.key_of(name) for name in "ABC")
    client = little.client("A")
    assert transaction(
        client, f"SET {a} 1", f"SET {b} 2", f"INCR {a}", f"SET {c} 3", f"INCRBY {b} 5",
        f"MGET {a} {b} {c}", f"DEL {c} no", f"GET {c}",
    ) == [b"OK", b"OK", 2, b"OK", 7, [b"2", b"7", b"3"], 1, None]
    assert little.client("B")("MGET", a, b, c) == [b"2", b"7", None]


def test_a_replica_gets_all_changes_of_a_group_in_one_frame() -> None:
    little = Little(3).ready()
    keys = [f"{{{little.key_of('B')}}}{number}" for number in range(20)]
    client = little.client("A")
    transaction(client, *(f"SET {key} old" for key in keys))
    little.run(5)
    mixed = []

    def look(source: int, target: int, items: list[bytes]) -> None:
        for name in "ABC":
            replica = little[name].replica
            values = {replica.get(loc)[-3:] for loc in locators}
            if len(values) > 1:
                mixed.append((name, values))

    slots = little["A"].replica.slots
    locators = [loc for table in slots for loc in table if loc[3:].decode() in keys]
    assert len(locators) == 20
    little.tap = look
    lines = [f"SET {key} new" for key in keys] + [f"APPEND {key} 2ew" for key in keys]
    assert transaction(client, *lines) == [b"OK"] * 20 + [6] * 20
    little.run(5)
    assert not mixed
    assert all(held(little, name, key) == b"new2ew" for name in "ABC" for key in keys)


def test_commands_of_others_on_a_groups_keys_come_before_it_or_after_it() -> None:
    little = Little(3).ready()
    tag = little.key_of("C")
    one, two = f"{{{tag}}}1", f"{{{tag}}}2"
    clients = [little.client(name) for name in "ABC"]
    for number in range(60):
        client = clients[number % 3]
        client.send("MULTI")
        for key in (one, two) if number % 2 else (two, one):
            client.send("INCR", key)
        client.send("EXEC")
        clients[(number + 1) % 3].send("INCR", one)
    answers = []
    for client in clients:
        for _ in range(100):
            answers.append(client.receive())
    pairs = [answer for answer in answers if isinstance(answer, list)]
    assert len(pairs) == 60
    assert sorted(min(pair) for pair in pairs) == list(range(1, 61))
    assert clients[0]("MGET", one, two) == [b"120", b"60"]
    assert all(little[name].is_idle() for name in "ABC")


def test_watch_notices_what_any_node_changes() -> None:
    little = Little(3).ready()
    clients = [little.client(name) for name in "ABC"]
    for owner in "ABC":
        key = little.key_of(owner, "watched")
        other = little.key_of("A", "other")
        done = 0
        tries = 0
        while done < 30:
            for client in clients:
                client.send("WATCH", key)
                client.send("GET", key)
            for client in clients:
                assert client.receive() == b"OK"
                value = client.receive()
                assert value is None or isinstance(value, bytes)
                for line in ("MULTI", f"SET {key} {int(value or 0) + 1}", f"SET {other} x", "EXEC"):
                    client.send(*line.split())
            for client in clients:
                replies = [client.receive() for _ in range(4)]
                tries += 1
                if replies[-1] is not None:
                    assert replies[-1] == [b"OK", b"OK"]
                    done += 1
        assert clients[0]("GET", key) == str(done).encode()
        assert tries > done, "no transaction was ever refused"


def test_watched_keys_of_several_coordinators() -> None:
    little = Little(3).ready()
    keys = [little.key_of(name, "many") for name in "ABC"]
    client, other = little.client("A"), little.client("B")
    for changed in (*keys, None):
        client("WATCH", *keys)
        if changed is not None:
            other("INCR", changed)
        reply = transaction(client, *(f"INCR {key}" for key in keys))
        if changed is None:
            assert reply == [2, 2, 2]
        else:
            assert reply is None, changed
    client("WATCH", *keys)
    assert transaction(client, "PING") == [b"PONG"]
    client("WATCH", keys[2])
    other("SET", keys[2], 5)
    assert transaction(client, "PING") is None


def test_a_group_whose_coordinator_dies_says_so_in_its_places() -> None:
    little = Little(3).ready()
    mine, theirs = little.key_of("A"), little.key_of("C")
    client = little.client("A")
    little.holds.add((2, 0))
    client.send("MULTI")
    client.send("SET", mine, "1")
    client.send("SET", theirs, "1")
    client.send("GET", theirs)
    client.send("EXEC")
    little.run(20)
    little.kill("C")
    assert [client.receive() for _ in range(4)] == [b"OK"] + [b"QUEUED"] * 3
    reply = client.receive()
    assert isinstance(reply, list)
    assert reply[0] == b"OK"
    assert all(str(one).startswith("TIMEOUT") for one in reply[1:])
    assert transaction(client, f"SET {theirs} 2", f"GET {theirs}") == [b"OK", b"2"]


def test_a_group_that_cannot_meet_its_quorum_is_refused_whole() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    client = little.client("A")
    assert transaction(client, f"SET {key} 1") == [b"OK"]
    little.kill("B")
    little.kill("C")
    little.run(10)
    reply = transaction(client, f"SET {key} 2", f"GET {key}")
    assert isinstance(reply, list)
    assert all(str(one).startswith("NOQUORUM") and "nothing was done" in str(one) for one in reply)
    assert client("DYN.WITH", "R", 1, "GET", key) == b"1"
    assert transaction(client, f"DYN.WITH R 1 GET {key}") == [b"1"]
    watching = client("WATCH", key)
    assert str(watching).startswith("NOQUORUM")


def test_a_full_disk_is_reported_when_queueing_and_at_exec() -> None:
    little = Little(1).ready()
    client = little.client("A")
    client("MULTI")
    assert client("SET", "k", "v") == b"QUEUED"
    little["A"].storage_failed("no space")
    assert str(client("EXEC")).startswith("EXECABORT Transaction discarded because of: MISCONF")
    client("MULTI")
    assert str(client("SET", "k", "v")).startswith("MISCONF")
    assert client("GET", "k") == b"QUEUED"
    assert str(client("EXEC")).startswith("EXECABORT")
    assert transaction(client, "GET k") == [None]


def test_replies_behind_an_exec_wait_for_it() -> None:
    little = Little(3).ready()
    key = little.key_of("C")
    client = little.client("A")
    client.send("SET", key, "1")
    client.send("MULTI")
    client.send("INCR", key)
    client.send("EXEC")
    client.send("GET", key)
    client.send("PING")
    assert [client.receive() for _ in range(6)] == [b"OK", b"OK", b"QUEUED", [2], b"2", b"PONG"]


def test_ten_thousand_commands_cost_ten_times_a_thousand() -> None:
    little = Little(3, transaction_commands=10_000).ready()
    client = little.client("A")
    spent = []
    for count in (1000, 10_000):
        lines = [f"INCR counter{number % (count // 2)}" for number in range(count)]
        began = time.process_time()
        reply = transaction(client, *lines)
        spent.append(time.process_time() - began)
        assert isinstance(reply, list) and len(reply) == count
        assert all(isinstance(one, int) for one in reply)
    assert spent[1] < 30 * spent[0]


def test_a_transaction_that_is_too_large_is_refused() -> None:
    little = Little(1, transaction_limit=2000).ready()
    client = little.client("A")
    client("MULTI")
    for _ in range(5):
        assert client("SET", "k", "v") == b"QUEUED"
    replies = [client("SET", "k", "v" * 300) for _ in range(3)]
    assert str(replies[-1]).startswith("ERR the transaction is larger")
    assert str(client("EXEC")).startswith("EXECABORT")
    assert little["A"].counters.transactions_too_large


def test_commands_on_several_keys_run_whole_where_their_keys_live_together() -> None:
    little = Little(3).ready()
    tag = little.key_of("B")
    client = little.client("A")
    one, two, three = (f"{{{tag}}}{number}" for number in range(3))
    assert transaction(
        client, f"SET {one} 1", f"COPY {one} {two}", f"MSETNX {two} 2 {three} 3",
        f"DEL {two}", f"MSETNX {two} 2 {three} 3", f"MGET {one} {two} {three}",
    ) == [b"OK", 1, 0, 1, 1, [b"1", b"2", b"3"]]
    far = little.key_of("C")
    assert transaction(client, f"SET {one} 9", f"COPY {one} {far}", f"GET {far}") == [
        b"OK", 1, b"9",
    ]


def test_a_pipeline_that_comes_at_once_is_queued_as_well() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    client = little.client("A")
    lines = ["SET {k} 1", "GET {k}", "MULTI", "SET {k} 2", "GET {k}", "EXEC", "GET {k}"]
    client.offer(b"".join(line.format(k=key).encode() + b"\r\n" for line in lines))
    assert [client.receive() for _ in lines] == [
        b"OK", b"1", b"OK", b"QUEUED", b"QUEUED", [b"OK", b"2"], b"2",
    ]


def test_a_group_is_not_begun_with_too_few_numbers_left() -> None:
    """Found by the simulator, seed 2: half of a group ran, then the lease of the counter ended."""
    little = Little(1).ready()
    client = little.client("A")
    identity = little["A"].identity
    little.machines[0].fsync = False            # no further lease becomes durable
    identity.counter = identity.safe_end - 1
    reply = transaction(client, "SET a 1", "SET b 1")
    assert isinstance(reply, list)
    assert all("nothing was done" in str(one) for one in reply)
    assert transaction(client, "SET a 2") == [b"OK"]
    assert client("MGET", "a", "b") == [b"2", None]
    little.machines[0].fsync = True
    little.run(5)
    assert transaction(client, "SET a 3", "SET b 3") == [b"OK", b"OK"]


def test_a_group_is_refused_for_what_its_commands_are_refused_for_alone() -> None:
    """Where copies are missing and the lease is not stored as well, the copies are reported."""
    little = Little(3).ready()
    key = little.key_of("A")
    client = little.client("A")
    identity = little["A"].identity
    little.machines[0].fsync = False
    identity.counter = identity.safe_end
    alone = client("SET", key, "1")
    assert str(alone).startswith("MISCONF the lease")
    assert [str(one) for one in cast(list[object], transaction(client, f"SET {key} 1"))] == [
        str(alone)
    ]
    little.kill("B")
    little.kill("C")
    little.run(10)
    alone = client("SET", key, "1")
    assert str(alone) == "NOQUORUM W=2 reachable=1: nothing was done"
    assert [str(one) for one in cast(list[object], transaction(client, f"SET {key} 1"))] == [
        str(alone)
    ]
