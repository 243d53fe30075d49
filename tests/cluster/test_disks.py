"""A disk that fails, and one that is behind: who writes then, who waits, what is kept."""

from tests.little import Little


def test_clients_of_a_node_whose_disk_fails_notice_nothing() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    mine, theirs = little.key_of("A"), little.key_of("B", "other")
    assert a("SET", mine, "v") == b"OK"
    little["A"].storage_failed("no space left on device")
    assert a("SET", mine, "w") == b"OK", "before its peers know"
    little.run(5)
    for key in (mine, theirs):
        assert a("SET", key, "w") == b"OK"
        assert a("GET", key) == b"w"
        assert a("APPEND", key, "!") == 2
        assert a("SET", key, "w", "XX", "GET") == b"w!"
    assert a("MSET", mine, "1", theirs, "2") == b"OK"
    assert a("MSETNX", "new{1}", "1", "new{2}", "2") == 1
    assert a("MULTI") == b"OK"
    assert a("INCR", mine) == b"QUEUED" and a("INCR", theirs) == b"QUEUED"
    assert a("EXEC") == [2, 3]
    assert b("INCR", mine) == 3
    assert a("GET", mine) == b"3"
    assert a("DEL", mine, theirs) == 2
    assert a("FLUSHALL") == b"OK" and a("DBSIZE") == 0
    assert a("SET", mine, "again") == b"OK"
    little["A"].storage_recovered()
    little.run(5)
    assert a("SET", mine, "x") == b"OK"
    assert b("GET", mine) == b"x"


def test_reads_of_a_node_whose_disk_fails_leave_nothing_to_be_stored() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    little["A"].storage_failed("no space left on device")
    little.run(5)
    before = little["A"].generation
    for number in range(20):
        assert b("SET", f"k{number}", "v") == b"OK"
        assert a("GET", f"k{number}") == b"v"
    assert little["A"].generation == before
    little["A"].storage_recovered()
    assert a("GET", "k1") == b"v"
    little.run(1)
    assert little["A"].generation > before, "what it has missed is mended now"


def test_writes_are_refused_where_too_few_nodes_can_store() -> None:
    little = Little(3).ready()
    a = little.client("A")
    key = little.key_of("B")
    for name in "AB":
        little[name].storage_failed("no space left on device")
    little.run(5)
    assert str(a("SET", key, "v")).startswith("NOQUORUM W=2 reachable=1")
    little["C"].storage_failed("no space left on device")
    little.run(5)
    assert str(a("SET", key, "v")).startswith("MISCONF this node cannot store: no space")
    assert a("GET", key) is None
    little["B"].storage_recovered()
    little["A"].storage_recovered()
    little.run(5)
    assert a("SET", key, "v") == b"OK"


def test_a_lone_node_whose_disk_fails_refuses_writes_and_serves_reads() -> None:
    little = Little(1).ready()
    a = little.client("A")
    assert a("SET", "k", "v") == b"OK"
    little["A"].storage_failed("no space left on device")
    for words in ("SET k w", "DEL k", "MSET k w", "FLUSHALL", "INCR n", "SET k w NX"):
        assert str(a(*words.split())).startswith("MISCONF this node cannot store: no space")
    assert a("GET", "k") == b"v"
    little["A"].storage_recovered()
    assert a("SET", "k", "x") == b"OK"
