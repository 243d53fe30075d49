"""RENAME, MOVE and COPY between nodes, WAIT and DEBUG SLEEP, in a little cluster."""

from respdyn.ring.hashing import slot_of
from tests.coordination.test_groups import transaction
from tests.little import Little


def test_a_value_moves_between_nodes() -> None:
    little = Little(3).ready()
    here, there = little.key_of("A"), little.key_of("C")
    client = little.client("B")
    client("SET", here, "v", "PX", 1_000_000)
    assert client("RENAME", here, there) == b"OK"
    assert client("MGET", here, there) == [None, b"v"]
    assert 0 < int(str(client("PTTL", there))) <= 1_000_000
    assert client("RENAMENX", there, here) == 1
    assert client("MOVE", here, 3) == 1
    assert client("EXISTS", here) == 0
    client("SELECT", 3)
    assert client("GET", here) == b"v"
    assert client("COPY", here, there, "DB", 0) == 1
    client("SELECT", 0)
    assert client("GET", there) == b"v"
    little.run(20)
    for name in "ABC":
        assert little.client(name)("DYN.WITH", "R", 1, "GET", there) == b"v"
        assert little.client(name)("DYN.WITH", "R", 1, "GET", here) is None


def test_what_is_written_to_the_old_key_meanwhile_stays() -> None:
    little = Little(3).ready()
    old, new = little.key_of("B"), little.key_of("C")
    client, other = little.client("A"), little.client("B")
    client("SET", old, "first")
    little.run(5)
    little.holds |= {(2, 0), (0, 2)}        # the new key cannot be written yet
    client.send("RENAME", old, new)
    little.run(100)
    assert other("SET", old, "second") == b"OK"
    little.heal()
    assert client.receive() == b"OK"
    assert client("MGET", old, new) == [b"second", b"first"]


def test_whichever_node_dies_in_between_the_value_is_at_one_key_or_both() -> None:
    for steps in range(1, 14):
        for dies in "ABC":
            little = Little(3, request_timeout_ms=300).ready()
            old, new = little.key_of("B"), little.key_of("C")
            survivor = little.client("A" if dies != "A" else "B")
            client = little.client("A")
            client("SET", old, "v")
            client.send("RENAME", old, new)
            little.run(steps)
            little.kill(dies)
            little.run(1000)
            held = survivor("MGET", old, new)
            assert held in ([b"v", None], [None, b"v"], [b"v", b"v"]), (steps, dies, held)
            if dies != "A":
                reply = client.receive()
                if reply == b"OK":
                    assert held == [None, b"v"], (steps, dies)


def test_in_a_transaction_keys_of_the_same_nodes_are_renamed_in_one_step() -> None:
    little = Little(3).ready()
    tag = little.key_of("B")
    one, two = f"{{{tag}}}1", f"{{{tag}}}2"
    client = little.client("A")
    assert transaction(
        client, f"SET {one} v", f"RENAME {one} {two}", f"MGET {one} {two}", f"RENAMENX {two} {two}",
        f"RENAME {one} {two}", f"GET {two}", f"MOVE {two} 1", f"EXISTS {two}",
    )[:6] == [   # type: ignore[index]
        b"OK", b"OK", [None, b"v"], 0, "ERR no such key", b"v",
    ]
    states = set()

    def look(source: int, target: int, items: list[bytes]) -> None:
        for name in "ABC":
            slots = little[name].replica.slots
            alive = [
                loc[3:] for table in slots for loc, record in table.items()
                if loc[2] == 0 and loc[3:].decode() in (one, two) and record[1] & 4
            ]
            states.add(len(alive))

    client("SET", one, "w")
    little.run(5)
    little.tap = look
    assert transaction(client, f"RENAME {one} {two}") == [b"OK"]
    little.run(10)
    assert states == {1}


def test_wait_counts_copies_that_are_there() -> None:
    little = Little(3).ready()
    client = little.client("A")
    assert client("WAIT", 0, 0) == 2
    keys = [little.key_of(name) for name in "ABC"]
    for key in keys:
        client("SET", key, "v")
        assert client("WAIT", 2, 1000) == 2
    little.holds |= {(0, 2), (1, 2)}        # C receives nothing
    began = little.now_ms
    client("SET", keys[0], "w")
    assert client("WAIT", 1, 1000) == 1
    assert client("WAIT", 2, 200) == 1
    assert 200 <= little.now_ms - began < 1500
    client.send("MSET", keys[0], 1, keys[1], 2)
    client.send("WAIT", 2, 100)
    client.send("PING")
    assert [client.receive() for _ in range(3)] == [b"OK", 1, b"PONG"]
    little.heal()
    little.run(3000)
    client("INCR", keys[1])
    assert client("WAIT", 2, 5000) == 2
    assert transaction(client, f"SET {keys[2]} 1", "WAIT 5 100000") [0] == b"OK"  # type: ignore[index]
    assert str(client("WAIT", "x", 1)).startswith("ERR value")


def test_the_first_wait_of_a_connection_covers_all_that_it_wrote() -> None:
    little = Little(5, w=1).ready()
    keys = [little.key_of(name) for name in "ABCDE"]
    writer, looker = little.client("A"), little.client("B")
    ring = little["A"].membership.ring
    assert ring is not None
    # All owners of the first key but its coordinator receive nothing; those of the last key do.
    for at, other in enumerate(little.machines):
        owners = ring.owners_of(ring.partition_of(slot_of(keys[0].encode())))
        if other.name in owners[1:]:
            little.holds |= {(source, at) for source in range(5)}
    for key in keys:
        writer.send("SET", key, "v")
    little.run(100)
    writer.send("WAIT", 2, 50)
    little.run(100)
    replies = [writer.receive() for _ in range(6)]
    assert replies[0] == b"OK" and replies[-1] == 0
    little.heal()
    little.run(3000)
    assert writer("WAIT", 2, 5000) == 2
    assert looker("WAIT", 0, 0) == 2        # it has written nothing


def test_debug_sleep_holds_up_no_other_client() -> None:
    little = Little(1, enable_debug_command="yes").ready()
    sleeper, other = little.client("A"), little.client("A")
    began = little.now_ms
    sleeper.send("DEBUG", "SLEEP", "0.5")
    sleeper.send("PING")
    assert other("SET", "k", "v") == b"OK"
    assert little.now_ms - began < 50
    assert sleeper.receive() == b"OK"
    assert sleeper.receive() == b"PONG"
    assert 500 <= little.now_ms - began < 600
