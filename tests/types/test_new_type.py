"""A new type is its module, its commands, and rows in two tables: all else works by itself."""

from __future__ import annotations

import pytest

from respdyn.causal.codec import join_records
from respdyn.causal.dot import intern_actor
from respdyn.commands import table
from respdyn.types import strings, values
from tests.coordination.test_keyspace_events import events, listener
from tests.little import Little
from tests.types import flag

WRONG = values.WRONG_TYPE


@pytest.fixture(autouse=True)
def the_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(values.KINDS, flag.ELEMENT[0], flag.FLAG)
    values.check_kinds()
    for command in flag.COMMANDS:
        name = command.name.encode()
        monkeypatch.setitem(table.BY_NAME, name, command)
        monkeypatch.setitem(table.TABLE, name, command)
        monkeypatch.setitem(table.TABLE, name.upper(), command)


def test_commands_on_any_key_know_it() -> None:
    little = Little(3).ready()
    a = little.client("A")
    assert a("FLAG.SHOW", "f") is None
    assert a("FLAG.RAISE", "f") == 1
    for name in "ABC":
        client = little.client(name)
        assert (client("TYPE", "f"), client("EXISTS", "f")) == (b"flag", 1)
        assert client("FLAG.SHOW", "f") == 1
        assert client("OBJECT", "ENCODING", "f") == b"bit"
        assert client("TTL", "f") == -1
    assert a("EXPIRE", "f", 100) == 1
    assert little.client("B")("TTL", "f") == 100
    assert a("EXPIRE", "f", 50, "GT") == 0
    assert a("PERSIST", "f") == 1
    assert a("TTL", "f") == -1
    assert a("FLAG.LOWER", "f") == 1
    assert little.client("C")("FLAG.SHOW", "f") == 0
    assert (a("DEL", "f"), a("EXISTS", "f"), a("TYPE", "f")) == (1, 0, b"none")
    assert a("FLAG.SHOW", "f") is None


def test_it_expires() -> None:
    little = Little(3, notify_keyspace_events="KEA").ready()
    a, ear = little.client("A"), listener(little, "B")
    f = little.key_of("A")
    a("FLAG.RAISE", f)
    a("PEXPIRE", f, 50)
    assert b"db0:keys=1,expires=1" in a("INFO", "keyspace")  # type: ignore[operator]
    little.run(60)
    assert (a("EXISTS", f), a("FLAG.SHOW", f), a("TYPE", f)) == (0, None, b"none")
    assert a("GET", f) is None, "absent, not of the wrong type"
    assert [name for name, _ in events(ear)] == [b"raised", b"expire", b"expired"]
    assert a("INCR", f) == 1
    assert a("TYPE", f) == b"string"


def test_it_moves_and_is_copied_with_its_time() -> None:
    little = Little(3).ready()
    a = little.client("A")
    a("FLAG.RAISE", "f")
    a("PEXPIRE", "f", 100_000)
    assert a("RENAME", "f", "g") == b"OK"
    assert (a("EXISTS", "f"), a("FLAG.SHOW", "g"), a("TTL", "g")) == (0, 1, 100)
    assert a("COPY", "g", "h") == 1
    assert (a("TYPE", "h"), a("FLAG.SHOW", "h"), a("TTL", "h")) == (b"flag", 1, 100)
    assert a("COPY", "g", "h") == 0
    assert a("SET", "s", "v") == b"OK"
    assert a("COPY", "s", "h", "REPLACE") == 1
    assert (a("TYPE", "h"), a("GET", "h")) == (b"string", b"v")
    assert a("MOVE", "g", 3) == 1
    a("SELECT", 3)
    assert a("FLAG.SHOW", "g") == 1


def test_in_a_transaction_it_is_renamed_in_one_step() -> None:
    little = Little(3).ready()
    a = little.client("A")
    a("FLAG.RAISE", "{t}f")
    a("MULTI")
    a("RENAME", "{t}f", "{t}g")
    a("FLAG.SHOW", "{t}g")
    assert a("EXEC") == [b"OK", 1]


def test_it_is_dumped_and_restored() -> None:
    little = Little(3).ready()
    a = little.client("A")
    a("FLAG.RAISE", "f")
    dumped = a("DUMP", "f")
    assert a("RESTORE", "f", 0, dumped) == "BUSYKEY Target key name already exists."
    assert a("RESTORE", "g", 100_000, dumped) == b"OK"
    assert (a("FLAG.SHOW", "g"), a("TTL", "g")) == (1, 100)


def test_watch_sees_its_changes() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    a("FLAG.RAISE", "f")
    a("WATCH", "f")
    b("FLAG.LOWER", "f")
    a("MULTI")
    a("PING")
    assert a("EXEC") is None
    a("WATCH", "f")
    a("MULTI")
    a("FLAG.SHOW", "f")
    assert a("EXEC") == [0]


def test_scan_finds_it_by_type() -> None:
    little = Little(3).ready()
    a = little.client("A")
    a("FLAG.RAISE", "f")
    a("SET", "s", "v")
    assert a("SCAN", 0, "COUNT", 100, "TYPE", "flag") == [b"0", [b"f"]]
    assert a("SCAN", 0, "COUNT", 100, "TYPE", "string") == [b"0", [b"s"]]
    assert a("DBSIZE") == 2


def test_commands_of_a_wrong_type_are_refused_both_ways() -> None:
    little = Little(3).ready()
    a = little.client("A")
    a("FLAG.RAISE", "f")
    a("SET", "s", "v")
    for words in (
        ("GET", "f"), ("INCR", "f"), ("APPEND", "f", "x"), ("GETRANGE", "f", 0, 1),
        ("GETSET", "f", "x"), ("GETDEL", "f"), ("GETEX", "f"), ("SETBIT", "f", 1, 1),
        ("STRLEN", "f"), ("SET", "f", "x", "GET"), ("INCRBYFLOAT", "f", 1), ("BITCOUNT", "f"),
        ("SORT", "f"), ("FLAG.SHOW", "s"), ("FLAG.RAISE", "s"),
    ):
        assert a(*words) == WRONG, words
    assert (a("SETNX", "f", "x"), a("FLAG.SHOW", "f")) == (0, 1)
    assert a("MGET", "s", "f", "none") == [b"v", None, None]
    a("MULTI")
    a("MGET", "s", "f")
    assert a("EXEC") == [[b"v", None]]
    a("WATCH", "f")
    assert a("MGET", "s", "f") == [b"v", None]
    a("UNWATCH")
    assert a("SET", "f", "x") == b"OK"
    assert (a("GET", "f"), a("TYPE", "f")) == (b"x", b"string")


def test_siblings_are_merged_after_a_cut() -> None:
    little = Little(3, r=1, w=1).ready()
    a, b = little.client("A"), little.client("B")
    a("FLAG.LOWER", "f")
    little.run(50)
    for other in "BC":
        little.cut("A", other)
    little.run(50)
    a("FLAG.RAISE", "f")
    little.run(5)
    b("FLAG.LOWER", "f")
    assert (a("FLAG.SHOW", "f"), b("FLAG.SHOW", "f")) == (1, 0)
    little.heal()
    little.until(lambda: all(
        little.client(name)("DYN.GETCTX", "f")[1] == [b"0", b"1"]  # type: ignore[index]
        for name in "ABC"
    ))
    assert all(little.client(name)("FLAG.SHOW", "f") == 1 for name in "ABC")
    token, _ = a("DYN.GETCTX", "f")  # type: ignore[misc]
    assert a("DYN.DELCTX", "f", token) is not None
    assert a("EXISTS", "f") == 0


def test_of_two_types_at_once_all_nodes_show_the_newer() -> None:
    little = Little(3, r=1, w=1).ready()
    for other in "BC":
        little.cut("A", other)
    little.run(50)
    little.client("A")("FLAG.RAISE", "k")
    little.run(5)
    little.client("B")("SET", "k", "v")
    little.heal()
    little.until(lambda: all(
        little.client(name)("DYN.GETCTX", "k")[1] == [b"v", b"1"]  # type: ignore[index]
        for name in "ABC"
    ))
    for name in "ABC":
        client = little.client(name)
        assert (client("TYPE", "k"), client("FLAG.SHOW", "k")) == (b"string", WRONG)
    assert little.client("A")("SET", "k", "w") == b"OK"
    assert little.client("B")("DYN.WITH", "R", 3, "DYN.GETCTX", "k")[1] == [b"w"]  # type: ignore[index]


def test_a_write_of_one_type_covers_what_another_left_beside_it() -> None:
    one, two = intern_actor(b"1" * 16), intern_actor(b"2" * 16)
    raised = flag.assign(b"", (one, 1, 0, 10), b"1")
    written = strings.assign(b"", (two, 1, 0, 5), b"v", 0)
    both = join_records(raised, written)
    assert values.siblings(both, 0) == [b"1", b"v"]
    assert values.lives(written, both) and values.lives(raised, both)
    covered = join_records(both, values.cover(written, both, (two, 2, 0, 6)))
    assert values.siblings(covered, 0) == [b"v"]
    covered = join_records(both, values.cover(raised, both, (one, 2, 0, 11)))
    assert values.siblings(covered, 0) == [b"1"]
    assert values.kind_of(join_records(both, values.remove(both, (one, 2, 0, 0)))) is None
