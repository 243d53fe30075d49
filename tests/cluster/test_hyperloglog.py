"""HyperLogLogs on several nodes: what any coordinator has counted is counted."""

from tests.little import Little


def test_what_both_sides_of_a_cut_have_counted_is_counted_once() -> None:
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("PFADD", "h", *range(50)) == 1
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert a("PFADD", "h", *range(100, 200)) == 1
    assert b("PFADD", "h", *range(150, 250)) == 1
    assert 140 < a("PFCOUNT", "h") < 160
    little.heal()
    little.run(3000)
    found = {little.client(name)("PFCOUNT", "h") for name in "ABC"}
    assert len(found) == 1 and 190 < found.pop() < 210
    # The next write covers both, with all that they had.
    assert b("PFADD", "h", "one more", "and another") == 1
    little.run(50)
    assert len(b("DYN.GETCTX", "h")[1]) == 1
    assert 190 < a("PFCOUNT", "h") < 212
    assert a("PFMERGE", "all", "h", "none") == b"OK"
    assert b("PFCOUNT", "all") == a("PFCOUNT", "h") == a("PFCOUNT", "h", "all")


def test_who_says_that_it_was_counted_has_asked_a_quorum() -> None:
    """The coordinator alone has counted it: it must not say so until another has it too."""
    little = Little(3).ready()
    key = little.key_of("A")
    a = little.client("A")
    assert a("PFADD", key, "old") == 1
    little.run(20)
    little.holds = {(0, 1), (0, 2)}
    assert a("DYN.WITH", "R", 1, "W", 1, "PFADD", key, "new") == 1
    little.run(2)
    little.waiting.clear()
    little.cut("A", "B")
    little.cut("A", "C")
    little.heal()
    little.until(lambda: sum(link.is_up for link in little["A"].links.values()) == 2)
    assert little.client("B")("DYN.WITH", "R", 1, "PFCOUNT", key) == 1
    assert a("PFADD", key, "new") == 0
    little.step()           # replies leave with the frames of their turn
    little.kill("A")
    little.run(20)
    assert little.client("B")("PFCOUNT", key) == 2
