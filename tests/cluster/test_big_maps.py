"""Hashes and sets of many elements: what a small one does, at the cost of what is touched."""

import gc
import inspect

import pytest

from respdyn.causal import big, cell_tree, codec, element_map
from respdyn.causal.codec import digest
from respdyn.causal.parts import flat
from respdyn.causal.persistent_tree import Node, take_down
from respdyn.cluster import element_rows, key_table, matching
from respdyn.ports import ROW
from respdyn.storage.memory import apply
from respdyn.types import hashes
from tests.cluster import test_element_maps as small
from tests.little import Little

STORIES = [
    story for name, story in sorted(vars(small).items())
    if name.startswith("test_") and not inspect.signature(story).parameters
]
MANY = 3000


def record_of(node, key):
    for slot in node.replica.slots:
        for locator, record in slot.items():
            if locator[3:] == key.encode():
                return record
    return b""


def records_of(little, key):
    return [record_of(machine.node, key) for machine in little.machines if machine.is_running]


def fill(client, key, count=MANY, step=500):
    for at in range(0, count, step):
        assert client("SADD", key, *range(at, at + step)) == step


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_whatever_a_small_one_does(story, monkeypatch):
    """Each story of small maps, with all of them big."""
    monkeypatch.setattr(big, "BIG_BYTES", 0)
    monkeypatch.setattr(big, "SMALL_BYTES", 0)
    monkeypatch.setattr(small, "verify", lambda record: codec.verify(flat(record)))
    story()


def test_a_write_touches_what_it_names_and_no_more(monkeypatch):
    """In memory a few nodes of a tree, on disk a row and a head, on the wire a delta."""
    little = Little(3).ready()
    client = little.client("A")
    fill(client, "s")
    little.run(50)
    held = records_of(little, "s")
    assert all(record[1] & codec.BIG for record in held)
    entries = []
    read = codec.entries_of
    for module in (codec, big):
        monkeypatch.setattr(module, "entries_of", lambda record: entries.append(record) or read(
            record))
    stored = [machine.node.replica for machine in little.machines]
    batches = []
    for replica in stored:
        ends = replica.turn_ends
        monkeypatch.setattr(replica, "turn_ends", lambda ends=ends: batches.append(ends()) or
                            batches[-1])
    assert client("SADD", "s", "one more") == 1
    assert client("SISMEMBER", "s", "one more") == 1
    assert client("SREM", "s", "17", "none") == 1
    assert client("SCARD", "s") == MANY
    little.run(20)
    assert all(not record[1] & codec.BIG for record in entries)
    sizes = [sum(map(len, batch)) for batch in batches if any(n[:1] == ROW for n in batch[::2])]
    assert sizes and max(sizes) <= 300, sizes
    assert len({digest(record) for record in records_of(little, "s")}) == 1


def table_of(machine):
    return machine.disk


def test_what_is_stored_is_what_is_held():
    """After writes, removals, a key that shrinks, one that is deleted and made anew."""
    little = Little(1).ready()
    client = little.client("A")
    fill(client, "s")
    fill(client, "gone", 1000)
    for at in range(0, 1000, 100):
        assert client("SREM", "s", *range(at, at + 100)) == 100
    client("HSET", "h", *(n for at in range(400) for n in (f"f{at}", "v" * (at % 40))))
    client("HSET", "h", "f1", "x", "new", "y")
    client("HEXPIRE", "h", "1000", "FIELDS", "1", "f3")
    client("DEL", "gone")
    client("SADD", "gone", "a")
    fill(client, "shrinks", 500)
    for at in range(490):
        client("SREM", "shrinks", at)
    little.run(50)
    node = little["A"]
    before = {key: flat(record_of(node, key)) for key in ("s", "h", "gone", "shrinks")}
    assert not record_of(node, "shrinks")[1] & codec.BIG
    rows = [name for name in table_of(little.machines[0]) if name[:1] == ROW]
    assert len(rows) == 2000 + 402
    little.kill("A")
    little.boot("A")
    little.run(200)
    node = little["A"]
    assert record_of(node, "s")[1] & codec.BIG
    assert {key: flat(record_of(node, key)) for key in before} == before
    client = little.client("A")
    assert client("SCARD", "s") == 2000 and client("HGET", "h", "f1") == b"x"


def test_a_lost_row_is_no_removal():
    """Its element comes back from the others, and its node begins a new life."""
    little = Little(3).ready()
    client = little.client("A")
    fill(client, "s")
    little.run(100)
    machine = next(one for one in little.machines if one.node is little["B"])
    actor = machine.node.identity.actor
    little.kill("B")
    table = table_of(machine)
    lost = [name for name in table if name[:1] == ROW][7:40:8]
    for name in lost:
        del table[name]
    little.boot("B")
    assert little["B"].identity.actor != actor
    little.until(lambda: len({digest(one) for one in records_of(little, "s")}) == 1)
    assert little.client("B")("SCARD", "s") == MANY


def test_rows_without_a_head_are_swept():
    little = Little(1).ready()
    client = little.client("A")
    fill(client, "s", 500)
    little.kill("A")
    table = table_of(little.machines[0])
    for name in [name for name in table if name[3:] == b"s" and name[0] < 64]:
        del table[name]
    little.boot("A")
    little.run(100)
    assert not [name for name in table_of(little.machines[0]) if name[:1] == ROW]


def test_pairs_of_a_batch_are_done_in_their_order():
    locator = b"\0\0\0k"
    name = element_rows.prefix_of(locator) + cell_tree.place_of(b"mone")
    table = {name: b"x", b"\0\0\0l": b"y", element_rows.prefix_of(b"\0\0\0kk") + b"m": b"z"}
    left = dict(list(table.items())[1:])
    apply(table, [*element_rows.sweep_of(locator)])
    assert table == left
    apply(table, [*element_rows.sweep_of(locator), name, b"new"])
    assert table == {**left, name: b"new"}


def test_members_are_gone_through_and_chosen_without_reading_all():
    little = Little(1).ready()
    client = little.client("A")
    fill(client, "s")
    seen, cursor = [], b"0"
    while True:
        cursor, found = client("SSCAN", "s", cursor, "COUNT", 100)
        assert len(found) <= 101
        seen += found
        if cursor == b"0":
            break
    assert sorted(map(int, seen)) == list(range(MANY))
    assert len(set(client("SRANDMEMBER", "s", 50))) == 50
    popped = client("SPOP", "s", 20)
    assert client("SCARD", "s") == MANY - 20
    assert client("SMISMEMBER", "s", *popped) == [0] * 20
    assert client("SPOP", "s") not in popped
    record = record_of(little["A"], "s")
    assert element_map.counts_of(record) == {b"m": MANY - 21}


def sent_to(little, monkeypatch):
    """The sizes of all frames from now on."""
    sizes = []
    drain = Little._drain
    monkeypatch.setattr(Little, "_drain", lambda self, index, machine: [
        (sizes.append(sum(map(len, items))), (one, two, items))[1]
        for one, two, items in drain(self, index, machine)
    ])
    return sizes


def is_alike(little, key):
    found = records_of(little, key)
    return len(found) == 3 and len({digest(one) for one in found}) == 1


@pytest.mark.parametrize("many", [2000, 20_000])
def test_copies_that_differ_are_made_equal_in_pieces(many, monkeypatch):
    """What was written on both sides of a cut, removals among it, without sending the whole."""
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    fill(a, "s", many)
    little.until(lambda: is_alike(little, "s"))
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(50)
    assert a("SADD", "s", "left", "both") == 2 and a("SREM", "s", *range(10, 20)) == 10
    assert b("SADD", "s", "right", "both") == 2 and b("SREM", "s", *range(15, 30)) == 15
    sizes = sent_to(little, monkeypatch)
    little.heal()
    little.until(lambda: is_alike(little, "s"), 120_000)
    assert little.client("C")("SCARD", "s") == many - 20 + 3
    assert max(sizes) < 100_000
    assert sum(sizes) < 60 * many
    assert sum(one.node.counters.pieces_matched for one in little.machines) < many / 20


def test_a_disk_that_was_wiped_is_filled_in_pieces(monkeypatch):
    little = Little(3).ready()
    a = little.client("A")
    fill(a, "s", 3000)
    little.until(lambda: is_alike(little, "s"))
    little.kill("B")
    little.run(100)
    assert a("SREM", "s", *range(100)) == 100
    little.wipe("B")
    sizes = sent_to(little, monkeypatch)
    little.boot("B")
    little.until(lambda: is_alike(little, "s"), 120_000)
    assert max(sizes) < 100_000
    rows = codec.rows_of(record_of(little["B"], "s"))
    assert len(rows) <= 32 * 4
    assert a("SCARD", "s") == 2900


def test_a_read_of_all_meets_a_write_on_its_way(monkeypatch):
    """SADD and SCARD in one turn: the copies are compared, not sent."""
    little = Little(3).ready()
    a = little.client("A")
    fill(a, "s")
    little.until(lambda: is_alike(little, "s"))
    sizes = sent_to(little, monkeypatch)
    for at in range(5):
        a.send("SADD", "s", f"x{at}")
        a.send("SCARD", "s")
        a.send("SISMEMBER", "s", f"x{at}")
        assert [a.receive(), a.receive(), a.receive()] == [1, MANY + at + 1, 1]
    assert max(sizes) < 10_000
    little.run(100)
    assert is_alike(little, "s")


def one_cut_off():
    """Three nodes with a big set; A, which coordinates it, is cut off from the others."""
    little = Little(3, exchange_interval_ms=0).ready()
    key = little.key_of("A", "s")
    a, b = little.client("A"), little.client("B")
    fill(b, key)
    little.until(lambda: is_alike(little, key))
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(3000)
    return little, key, a, b


def test_a_reader_gets_what_another_owner_has():
    """A copy that is behind is made equal before it answers of all of its elements."""
    little, key, a, b = one_cut_off()
    assert b("SADD", key, "new") == 1 and b("SREM", key, 5) == 1
    little.heal()
    little.run(2000)
    assert a("SCARD", key) == MANY
    assert a("SISMEMBER", key, "new") == 1 and a("SISMEMBER", key, 5) == 0


@pytest.mark.parametrize("words", [("SCARD",), ("SPOP", 2)])
def test_what_waits_for_equal_copies_has_one_deadline(words):
    """Though each question of the comparison is answered within a time-out of its own."""
    little, key, a, b = one_cut_off()
    for at in range(10):
        assert b("SADD", key, f"new {at}") == 1
    little.heal()
    little.run(2000)
    a.send(words[0], key, *words[1:])
    little.until(lambda: little["A"].counters.big_reads_matched == 1)
    began_ms = little.now_ms
    little.holds = {(1, 0), (2, 0)}
    little.run(1500)
    little.holds = set()
    little.run(2)
    little.holds = {(1, 0), (2, 0)}
    reply = a.receive()
    assert "could not be made equal" in str(reply), reply
    assert little.now_ms - began_ms <= little["A"].settings.request_timeout_ms
    little.holds = set()
    little.run(200)
    assert a("SCARD", key) == MANY + 10


def nodes_there():
    return sum(type(one) is Node for one in gc.get_objects())


def test_what_is_deleted_is_freed_some_at_a_time(monkeypatch):
    """DEL, and FLUSHALL: a turn lets go of no more nodes than it may; in the end all are gone."""
    monkeypatch.setattr(key_table, "NODES_FREED", 50)
    gc.collect()
    before = nodes_there()
    little = Little(1).ready()
    client = little.client("A")
    fill(client, "s")
    fill(client, "t")
    little.run(50)
    replica = little["A"].replica
    full = nodes_there() - before
    freed = []

    def watched(nodes, most):
        there = nodes_there()
        take_down(nodes, most)
        freed.append(there - nodes_there())

    monkeypatch.setattr(key_table, "take_down", watched)
    client("DEL", "s")
    client("FLUSHALL")
    while nodes_there() > before:
        assert len(freed) < 200
        replica.turn_ends()
    assert max(freed) <= 50 and sum(freed) >= full > 300


def test_what_a_peer_goes_on_changing_is_never_gone_when_copies_were_made_equal():
    """A field that moves from dot to dot is in no span that was compared; it is followed."""
    little = Little(3).ready()
    key, late = little.key_of("B"), little["A"]
    client = little.client("B")
    for at in range(0, 500, 250):
        client("HSET", key, *(w for n in range(at, at + 250) for w in (f"field{n}", "as it was")))
    client("HSET", key, "hot", "first")
    little.run(200)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(3000)
    for n in range(100):
        client("HSET", key, f"field{n}", "changed", "hot", n)
    locator = next(name for slot in late.replica.slots for name in slot if name[3:] == key.encode())
    work = matching.match(late.this, little.machines[1].name, locator, 0, is_hasty=True)
    answers, asked = None, 0
    while True:
        try:
            requests = work.send(answers)
        except StopIteration as stop:
            assert stop.value
            break
        answers = []
        for request in requests:
            found = matching.answer(little["B"].replica, request[1])
            answers.append(found)
            asked += 1
            if asked < 20:
                client("HSET", key, "hot", f"again{asked}")
    assert asked > 20
    view = hashes.view_of(late.replica.get(locator), little.wall_ms)
    assert hashes.value(view, b"hot") == b"again19"
