"""A node whose clock is off from the majority does not go by it, and leaves the work to others."""

from typing import cast

from respdyn.causal.hybrid_clock import ms_of
from tests.little import Little

HOUR_MS = 3_600_000


def jump(little: Little, name: str, by_ms: int) -> None:
    """From now on this node's wall clock is so far ahead of the others'."""
    node = little[name]
    advance = type(node).advance

    def wrong(now_ms: int, wall_ms: int) -> None:
        advance(node, now_ms, wall_ms + by_ms)

    node.advance = wrong    # type: ignore[method-assign]


def diary(little: Little, name: str) -> list[str]:
    return little.machines[ord(name) - 65].diary.names


def test_a_jump_expires_nothing_and_is_reported_at_once() -> None:
    little = Little(3).ready()
    client = little.client("B")
    key = little.key_of("B")
    assert client("SET", key, "v", "EX", "100") == b"OK"
    jump(little, "B", HOUR_MS)
    little.step()
    assert little["B"].readiness.clock.is_doubted and "clock_doubted" in diary(little, "B")
    little.run(20)
    for r in (b"1", b"2", b"3"):
        for name in "ABC":
            assert little.client(name)("DYN.WITH", "R", r, "GET", key) == b"v"
    assert little["A"].links[little.machines[1].name].deprioritized == "busy"


def test_others_coordinate_meanwhile_and_it_comes_back_when_the_clock_is_right() -> None:
    little = Little(3).ready()
    little.run(1500)
    key = little.key_of("B")
    jump(little, "B", -HOUR_MS)
    little.run(1500)
    before = little["B"].counters.writes_coordinated
    for name in "ABC":
        assert little.client(name)("SET", key, name, "PX", "60000") == b"OK"
        ttl = cast(int, little.client(name)("PTTL", key))
        assert 59_000 < ttl <= 60_000           # by a sane clock, although B was asked
    assert little["B"].counters.writes_coordinated == before
    jump(little, "B", 0)
    little.run(2500)
    assert not little["B"].readiness.clock.is_doubted and "clock_trusted" in diary(little, "B")
    assert little.client("A")("SET", key, "v") == b"OK"
    assert little["B"].counters.writes_coordinated > before


def test_who_starts_with_a_wrong_clock_learns_it_from_the_majority() -> None:
    little = Little(3).ready()
    little.run(1500)
    little.kill("C")
    little.run(10)
    little.wall_ms += HOUR_MS
    little.boot("C")
    little.wall_ms -= HOUR_MS
    jump(little, "C", HOUR_MS)
    little.run(3000)
    watch = little["C"].readiness.clock
    assert watch.is_doubted
    assert abs(little["C"].this.now.wall_ms - little.wall_ms) < 50
    for name in "AB":
        assert not little[name].readiness.clock.is_doubted
        offset = little[name].readiness.clock.offset_ms(little[name].links[little.machines[2].name])
        assert offset is not None and abs(offset - HOUR_MS) < 50


def test_who_starts_with_a_wrong_clock_mints_by_the_others_from_its_first_write_on() -> None:
    """And does not go back to its own when that is set right a moment later."""
    for off_ms in (-60_000, 60_000):
        for right_after_ms in (0, 3, 6, 40, 1_500):
            little = Little(3, n=1).ready()
            little.run(1_500)
            key = little.key_of("C")
            little.kill("C")
            little.run(10)
            little.wall_ms += off_ms
            little.boot("C")
            little.wall_ms -= off_ms
            node = little["C"]
            jump(little, "C", off_ms)
            client = little.client("C")
            client.send("SET", key, "1")
            little.run(right_after_ms)
            jump(little, "C", 0)
            client.send("SET", key, "2")
            minted = []
            for _ in range(2):
                assert client.receive() == b"OK"
                minted.append(ms_of(node.clock.last))
            assert all(abs(at_ms - little.wall_ms) < 2_000 for at_ms in minted), right_after_ms
            little.run(3)
            assert not node.readiness.clock.is_doubted


def test_who_meets_the_last_that_makes_a_majority_is_judged_before_it_mints_again() -> None:
    """Not at the next heartbeat: a second of writes by a wrong clock would be that much off."""
    little = Little(4).ready()
    little.run(1_500)
    key = little.key_of("D")
    little.kill("B")
    little.kill("C")
    little.kill("D")
    little.run(10)
    little.wall_ms += HOUR_MS
    little.boot("D")
    little.wall_ms -= HOUR_MS
    node = little["D"]
    jump(little, "D", HOUR_MS)
    little.until(lambda: node.sessions.arrival.is_over)
    little.run(200)
    assert not node.readiness.clock.is_doubted, "one of two that differ"
    little.boot("B")
    link = node.link_to(little.machines[1].name)
    little.until(lambda: node.readiness.clock.offset_ms(link) is not None)
    client = little.client("D")
    assert client("SET", key, "v") == b"OK"
    assert node.readiness.clock.is_doubted


def test_who_starts_in_a_cut_goes_by_those_whom_it_meets() -> None:
    """Three of five: what the side mints is newer than what the other wrote before."""
    little = Little(5, n=3).ready()
    little.run(1_500)
    for name in "DE":
        for other in "ABC":
            little.cut(name, other)
    little.run(2_000)
    names = [f"late:{number}" for number in range(40)]
    client = little.client("D")
    for name in names:
        assert client("SET", name, "older") == b"OK"
    little.kill("A")
    little.run(10)
    little.wall_ms -= 60_000
    little.boot("A")
    little.wall_ms += 60_000
    jump(little, "A", -60_000)
    node = little["A"]
    client = little.client("A")
    for name in names[:20]:
        assert client("SET", name, "newer") == b"OK"
    assert node.readiness.clock.is_doubted
    jump(little, "A", 0)
    for name in names[20:]:
        assert client("SET", name, "newer") == b"OK"
    little.run(2_500)
    assert not node.readiness.clock.is_doubted
    little.heal()
    little.run(5_000)
    for name in names:
        assert little.client("E")("DYN.WITH", "R", "3", "GET", name) == b"newer", name


def test_who_doubts_its_own_clock_is_no_witness_against_others() -> None:
    """Two of three have jumped, and know it: the third must not take their time."""
    little = Little(3).ready()
    little.run(1500)
    client = little.client("C")
    key = little.key_of("C")
    assert client("SET", key, "v", "EX", "100") == b"OK"
    jump(little, "A", HOUR_MS)
    jump(little, "B", 2 * HOUR_MS)
    little.run(3000)
    assert [little[name].readiness.clock.is_doubted for name in "ABC"] == [True, True, False]
    assert client("GET", key) == b"v"


def test_a_small_difference_is_no_fault() -> None:
    little = Little(3).ready()
    jump(little, "A", 300)
    jump(little, "B", -150)
    little.run(10_000)
    assert not any(little[name].readiness.clock.is_doubted for name in "ABC")


def test_a_frame_that_was_held_up_is_no_evidence() -> None:
    little = Little(3).ready()
    little.run(3000)
    little.holds |= {(0, 1), (0, 2), (2, 1)}
    little.run(1200)
    little.heal()
    little.run(3000)
    assert not any("clock_doubted" in diary(little, name) for name in "ABC")


def test_two_nodes_that_differ_cannot_know_who_errs() -> None:
    little = Little(2, n=2).ready()
    little.run(1500)
    little.kill("B")
    little.wall_ms += HOUR_MS
    little.boot("B")
    little.wall_ms -= HOUR_MS
    jump(little, "B", HOUR_MS)
    little.run(5000)
    assert not any(little[name].readiness.clock.is_doubted for name in "AB")


def test_who_is_alone_takes_a_new_time_after_a_minute() -> None:
    little = Little(1).ready()
    client = little.client("A")
    assert client("SET", "k", "v", "EX", "600") == b"OK"
    jump(little, "A", HOUR_MS)
    little.run(59_000)
    assert client("GET", "k") == b"v"
    assert client("SET", "k2", "v") == b"OK"    # no other node can
    little.run(3_000)
    assert client("GET", "k") is None
    assert "clock_trusted" in diary(little, "A")


def test_a_malformed_statement_about_a_clock_is_refused() -> None:
    import pytest

    from respdyn.errors import PeerError

    little = Little(3).ready()
    with pytest.raises(PeerError):
        little["A"].readiness.clock.receive(little["A"].links[little.machines[1].name], b"kxx")
