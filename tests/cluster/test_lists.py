"""Lists on several nodes: what was pushed is there until a client has popped just that."""

import pytest

from respdyn.ring.hashing import slot_of
from tests.cluster.test_element_maps import alike, settle
from tests.little import Little


def items(little: Little, name: str, key: str) -> list[bytes]:
    found = little.client(name)("LRANGE", key, 0, -1)
    assert isinstance(found, list), found
    return found


def test_what_is_pushed_at_one_node_is_popped_at_another() -> None:
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    assert a("RPUSH", "l", "one", "two", "three") == 3
    assert b("LPUSH", "l", "zero") == 4
    assert c("LRANGE", "l", 0, -1) == [b"zero", b"one", b"two", b"three"]
    assert b("LINSERT", "l", "AFTER", "one", "more") == 5
    assert a("LSET", "l", 0, "none") == b"OK"
    assert c("LPOP", "l") == b"none"
    assert b("LREM", "l", 0, "two") == 1
    assert a("LRANGE", "l", 0, -1) == [b"one", b"more", b"three"]
    assert c("LPOS", "l", "three") == 2
    assert b("RPOP", "l", 2) == [b"three", b"more"]
    assert a("TYPE", "l") == b"list"
    assert str(c("INCR", "l")).startswith("WRONGTYPE")
    assert c("LPOP", "l") == b"one"
    assert a("EXISTS", "l") == 0
    assert a("LPOP", "l") is None
    little.run(50)
    alike(little, "l")


def test_a_long_list_is_one_as_well() -> None:
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    assert a("RPUSH", "l", *range(400)) == 400
    assert b("LPUSH", "l", "first") == 401
    assert c("LRANGE", "l", 0, 2) == [b"first", b"0", b"1"]
    assert b("LRANGE", "l", -2, -1) == [b"398", b"399"]
    assert [c("LPOP", "l"), a("RPOP", "l"), b("LINDEX", "l", 200)] == [b"first", b"399", b"200"]
    assert c("LMOVE", "l", "l", "LEFT", "RIGHT") == b"0"
    assert a("LMOVE", "l", "m", "RIGHT", "LEFT") == b"0"
    assert b("LINSERT", "l", "AFTER", "200", "more") == 399
    assert c("LRANGE", "l", 199, 201) == [b"200", b"more", b"201"]
    assert a("LTRIM", "l", 100, -101) == b"OK"
    assert b("LRANGE", "l", 0, -1)[::198] == [b"101", b"298"]
    little.run(50)
    assert [little.client(name)("LLEN", "l") for name in "ABC"] == [199] * 3
    little.kill("A")
    little.run(50)
    assert b("LPOP", "l") == b"101"
    little.boot("A")
    little.run(3000)
    assert items(little, "A", "l") == items(little, "B", "l")
    assert a is not None and items(little, "A", "l")[0] == b"102"


def test_pushes_on_both_sides_of_a_cut_are_all_there_in_one_order() -> None:
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("RPUSH", "l", "x", "y") == 2
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert a("RPUSH", "l", "a1", "a2") == 4
    assert b("RPUSH", "l", "b1", "b2") == 4
    assert b("LPUSH", "l", "b0") == 5
    assert a("LINSERT", "l", "AFTER", "x", "left") == 5
    assert b("LINSERT", "l", "AFTER", "x", "right") == 6
    assert a("LSET", "l", 0, "X") == b"OK"
    assert b("LREM", "l", 1, "x") == 1
    little.heal()
    little.run(3000)
    settle(little, "l")
    found = [items(little, name, "l") for name in "ABC"]
    assert found[0] == found[1] == found[2]
    # An item that was set beside its removal is there with its new value.
    assert sorted(found[0]) == sorted(
        [b"b0", b"X", b"left", b"right", b"y", b"a1", b"a2", b"b1", b"b2"])
    assert found[0][0] == b"b0" and found[0][1] == b"X"
    order = found[0]
    assert order.index(b"a2") == order.index(b"a1") + 1
    assert order.index(b"b2") == order.index(b"b1") + 1


def test_two_pops_that_do_not_know_each_other_give_one_item_twice_and_none_is_lost() -> None:
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("RPUSH", "l", "1", "2", "3") == 3
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    given = [a("LPOP", "l"), b("LPOP", "l"), b("LPOP", "l")]
    assert given == [b"1", b"1", b"2"]
    little.heal()
    little.run(3000)
    settle(little, "l")
    assert items(little, "C", "l") == [b"3"]


def test_two_settings_of_one_item_leave_one_item() -> None:
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("RPUSH", "l", "1", "2") == 2
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert a("LSET", "l", 0, "left") == b"OK"
    little.run(5)
    assert b("LSET", "l", 0, "right") == b"OK"
    little.heal()
    little.run(3000)
    settle(little, "l")
    assert items(little, "A", "l") == [b"right", b"2"]
    assert b("LLEN", "l") == 2


def keys_of(little: Little, one: str, two: str) -> tuple[str, str]:
    return little.key_of(one, "from"), little.key_of(two, "to")


@pytest.mark.parametrize("coordinators", ["AA", "AB", "BA", "BC"])
def test_an_item_is_moved(coordinators: str) -> None:
    little = Little(3).ready()
    source, target = keys_of(little, *coordinators)
    a = little.client("A")
    assert a("LMOVE", source, target, "LEFT", "RIGHT") is None
    assert a("RPUSH", source, "1", "2", "3") == 3
    assert a("LMOVE", source, target, "LEFT", "RIGHT") == b"1"
    assert a("RPOPLPUSH", source, target) == b"3"
    assert items(little, "B", target) == [b"3", b"1"]
    assert items(little, "C", source) == [b"2"]
    assert a("SET", "s" + target, "v") == b"OK"
    assert str(a("LMOVE", source, "s" + target, "LEFT", "LEFT")).startswith("WRONGTYPE")
    assert items(little, "B", source) == [b"2"]
    assert a("LMOVE", source, target, "LEFT", "LEFT") == b"2"
    assert a("EXISTS", source) == 0
    assert a("LMOVE", target, target, "LEFT", "RIGHT") == b"2"
    assert items(little, "B", target) == [b"3", b"1", b"2"]
    assert not little["A"].dispatcher.busy and not little["B"].dispatcher.busy


@pytest.mark.parametrize("coordinators", ["AA", "AB", "BC"])
def test_each_of_many_movers_is_given_another_item(coordinators: str) -> None:
    little = Little(3).ready()
    source, target = keys_of(little, *coordinators)
    assert little.client("A")("RPUSH", source, *range(30)) == 30
    clients = [little.client("ABC"[at % 3]) for at in range(10)]
    given: list[object] = []
    for _ in range(3):
        for client in clients:
            client.send("LMOVE", source, target, "LEFT", "RIGHT")
        given += [client.receive() for client in clients]
    assert sorted(given) == sorted(b"%d" % at for at in range(30))   # type: ignore[type-var]
    assert sorted(items(little, "A", target)) == sorted(b"%d" % at for at in range(30))
    assert little.client("B")("LLEN", source) == 0


def test_moves_in_opposite_directions_do_not_wait_for_each_other() -> None:
    little = Little(3).ready()
    one, two = keys_of(little, "A", "B")
    a = little.client("A")
    a("RPUSH", one, "1")
    a("RPUSH", two, "2")
    clients = [little.client("C"), little.client("C")]
    clients[0].send("LMOVE", one, two, "LEFT", "RIGHT")
    clients[1].send("LMOVE", two, one, "LEFT", "RIGHT")
    began_ms = little.now_ms
    assert [client.receive() for client in clients] == [b"1", b"2"]
    assert little.now_ms - began_ms < 30
    assert items(little, "A", one) == [b"2"] and items(little, "A", two) == [b"1"]


def test_a_mover_that_dies_leaves_the_item_in_both_lists_or_one_never_in_none() -> None:
    for steps in range(1, 12):
        little = Little(3).ready()
        source, target = keys_of(little, "A", "B")
        c = little.client("C")
        assert c("RPUSH", source, "job") == 1
        little.run(20)
        c.send("LMOVE", source, target, "LEFT", "RIGHT")
        little.run(steps)
        little.kill("A")
        little.run(2600)
        found = (items(little, "B", source), items(little, "C", target))
        assert found in (([b"job"], []), ([b"job"], [b"job"]), ([], [b"job"])), steps


def test_an_item_whose_destination_does_not_answer_stays() -> None:
    little = Little(3).ready()
    source, target = keys_of(little, "A", "B")
    a = little.client("A")
    assert a("RPUSH", source, "job") == 1
    little.run(20)
    a.send("LMOVE", source, target, "LEFT", "RIGHT")
    little.run(2)
    little.refused = []         # a connection that has lost frames is begun anew
    little.lost = {(1, 0)}
    reply = a.receive()
    assert str(reply).startswith("TIMEOUT") and "unknown" in str(reply)
    little.heal()
    little.run(3000)
    assert items(little, "A", source) == [b"job"]
    assert items(little, "A", target) in ([b"job"], [])
    assert a("LPOP", source) == b"job"
    assert not little["A"].dispatcher.busy


def test_a_move_that_is_refused_at_once_frees_its_source() -> None:
    five = Little(5).ready()
    plans = five["A"].this.plans
    key = five.key_of("A", "source")
    here = plans[slot_of(key.encode())]
    target = next(
        name for name in (f"target{number}" for number in range(1000))
        if plans[slot_of(name.encode())].coordinator == here.coordinator
        and set(plans[slot_of(name.encode())].owners) != set(here.owners)
    )
    a, b = five.client("A"), five.client("B")
    assert a("RPUSH", key, "job", "other") == 2
    assert a("SET", target, "a string") == b"OK"
    for client in (a, b, a):
        assert str(client("LMOVE", key, target, "LEFT", "RIGHT")).startswith("WRONGTYPE")
        assert not five["A"].dispatcher.busy and not five["A"].dispatcher.item_moves.under_way
    assert a("LPOP", key) == b"job"


def test_in_a_transaction_a_move_is_within_its_step() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    assert a("RPUSH", "l", "1", "2") == 2
    assert a("MULTI") == b"OK"
    for words in (("LMOVE", "l", "m", "LEFT", "LEFT"), ("LLEN", "l"), ("LRANGE", "m", 0, -1),
                  ("LMOVE", "m", "m", "LEFT", "RIGHT"), ("LMPOP", 2, "none", "l", "LEFT")):
        assert a(*words) == b"QUEUED"
    assert a("EXEC") == [b"1", 1, [b"1"], b"1", [b"l", [b"2"]]]
    assert b("WATCH", "m") == b"OK"
    assert a("LSET", "m", 0, "x") == b"OK"
    assert b("MULTI") == b"OK"
    assert b("LPOP", "m") == b"QUEUED"
    assert b("EXEC") is None


def test_a_move_without_dots_for_both_steps_does_neither() -> None:
    little = Little(3).ready()
    source, target = keys_of(little, "A", "A")
    a = little.client("A")
    assert a("RPUSH", source, "1", "2") == 2
    identity = little["A"].identity
    end, identity.safe_end = identity.safe_end, identity.counter + 1
    assert str(a("LMOVE", source, target, "LEFT", "RIGHT")).startswith("MISCONF the lease")
    identity.safe_end = end
    assert items(little, "B", target) == []
    assert items(little, "B", source) == [b"1", b"2"]


@pytest.mark.parametrize("words", [
    ("LMOVE", "LEFT", "RIGHT"), ("SMOVE", "1"), ("RENAME",),
], ids=lambda words: words[0])
def test_a_move_whose_second_step_is_refused_does_not_say_that_nothing_was_done(
    words: tuple[str, ...],
) -> None:
    """The source's node runs out of dots when the destination has it already."""
    little = Little(3).ready()
    source, target = keys_of(little, "A", "B")
    a, b = little.client("A"), little.client("B")
    a("SADD" if words[0] == "SMOVE" else "RPUSH", source, "1", "2")
    a.send(words[0], source, target, *words[1:])
    while not b("EXISTS", target):
        little.run(1)
    little["A"].identity.safe_end = little["A"].identity.counter
    assert str(a.receive()).startswith("PARTIAL a part was done, the rest was not: MISCONF")
    assert little.client("C")("EXISTS", source, target) == 2
