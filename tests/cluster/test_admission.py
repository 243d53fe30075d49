"""Background work gives way to clients, shares by weight, and is never starved for ever."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.cluster.admission import (
    BURST_MS,
    COLLECTION,
    DEBT_MS,
    EXCHANGE,
    HINTS,
    KINDS,
    SCRUB,
    TRANSFER,
    WEIGHTS,
    Admission,
)
from respdyn.cluster.now import Now
from tests.little import Little


def work(admission: Admission, kinds: list[int], ms: int, wait_ms: int) -> None:
    """So long each takes what it gets, while clients wait for so long each."""
    start_ms = admission._now.now_ms
    piece = admission.most // 1000
    for now_ms in range(start_ms + 5, start_ms + ms + 1, 5):
        admission._now.now_ms = now_ms
        admission.tick()
        if wait_ms:
            admission.waited(wait_ms, 1)
        for kind in kinds:
            while admission.room(kind):
                admission.spend(kind, piece)


def test_alone_it_gets_the_whole_rate() -> None:
    admission = Admission(Now())
    work(admission, [EXCHANGE], 5_000, 0)
    before = admission.spent[EXCHANGE]
    work(admission, [EXCHANGE], 10_000, 0)
    assert 0.9 < (admission.spent[EXCHANGE] - before) / (10 * admission.most) < 1.1


def test_slow_clients_lower_the_rate_and_quick_ones_raise_it_again() -> None:
    admission = Admission(Now())
    work(admission, [EXCHANGE], 8_000, 50)
    assert admission.rate == admission.least and admission.slowed > 3
    before = admission.spent[EXCHANGE]
    work(admission, [EXCHANGE], 4_000, 50)
    # Not a pause, however slow the clients: nothing starves for ever.
    assert 0.5 < (admission.spent[EXCHANGE] - before) / (4 * admission.least) < 1.5
    work(admission, [EXCHANGE], 40_000, 1)
    assert admission.rate == admission.most


def test_long_turns_count_as_much_as_slow_requests() -> None:
    admission = Admission(Now())
    for now_ms in range(1, 5_000, 5):
        admission._now.now_ms = now_ms
        admission.tick()
        admission.turned(30)
        if admission.room(TRANSFER):
            admission.spend(TRANSFER, 5_000)
    assert admission.rate == admission.least


def test_who_waits_without_our_doing_does_not_slow_us() -> None:
    admission = Admission(Now())
    work(admission, [], 10_000, 40)            # a slow machine, and nothing in the background
    assert 30 < admission.calm_ms <= 50
    work(admission, [EXCHANGE], 40_000, 40)
    assert admission.rate == admission.most and admission.slowed == 0


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, len(KINDS) - 1), min_size=1), st.integers(0, 60))
def test_all_who_ask_share_by_weight(kinds: set[int], wait_ms: int) -> None:
    admission = Admission(Now())
    admission.most, admission.rate = 8 << 20, 8 << 20
    work(admission, sorted(kinds), 3_000, wait_ms)
    before = list(admission.spent)
    work(admission, sorted(kinds), 5_000, wait_ms)
    moved = {kind: admission.spent[kind] - before[kind] for kind in kinds}
    weights = sum(WEIGHTS[kind] for kind in kinds)
    for kind in kinds:
        fair = sum(moved.values()) * WEIGHTS[kind] / weights
        assert 0.6 * fair - 200_000 < moved[kind] < 1.5 * fair + 200_000
        assert moved[kind] > 0


def test_a_large_piece_is_let_through_and_paid_for_within_seconds() -> None:
    admission = Admission(Now())
    admission._now.now_ms = 1
    admission.tick()
    assert admission.room(SCRUB)
    admission.spend(SCRUB, 512 << 20)
    assert not admission.room(SCRUB)
    assert 1 < admission.ready_ms(SCRUB) <= 1 + DEBT_MS + BURST_MS
    admission._now.now_ms = admission.ready_ms(SCRUB)
    admission.tick()
    work(admission, [], 3 * DEBT_MS, 0)
    admission.room(SCRUB)
    work(admission, [], DEBT_MS, 0)
    assert admission.room(SCRUB)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(
    st.integers(0, 3_000), st.integers(0, len(KINDS) - 1), st.integers(0, 1 << 30),
    st.integers(0, 3_000),
), max_size=60))
def test_whatever_happens_each_client_gets_room_in_the_end(
    story: list[tuple[int, int, int, int]],
) -> None:
    admission = Admission(Now())
    now_ms = 0
    for pause_ms, kind, size, wait_ms in story:
        now_ms += pause_ms
        admission._now.now_ms = now_ms
        admission.tick()
        admission.waited(wait_ms, 30)
        if admission.room(kind):
            admission.spend(kind, size)
        assert admission.least <= admission.rate <= admission.most
        assert admission.ready_ms(kind) >= now_ms
    missing = set(range(len(KINDS)))
    for _ in range(1_200):
        now_ms += 100
        admission._now.now_ms = now_ms
        admission.tick()
        admission.waited(500, 3)
        for kind in sorted(missing):
            if admission.room(kind):
                missing.discard(kind)
        if not missing:
            return
    raise AssertionError(f"{missing} starve")


def test_hints_go_before_collection() -> None:
    assert WEIGHTS[HINTS] > WEIGHTS[TRANSFER] > WEIGHTS[EXCHANGE] > WEIGHTS[COLLECTION]


def test_exchange_keeps_to_its_share_and_still_ends() -> None:
    little = Little(
        3, exchange_interval_ms=20, background_rate=1 << 20, background_floor=1 << 18
    ).ready()
    client = little.client("A")
    little.kill("C")
    for i in range(2000):
        client.send("SET", f"key{i}", "v" * 500)
        if i % 100 == 99:
            little.step()
    little.run(200)
    little.boot("C")
    missing = 2000
    spent: list[int] = []
    for _ in range(60):
        little.run(500)
        spent.append(little["C"].admission.spent[EXCHANGE])
        missing = 2000 - little["C"].replica.records
        if not missing:
            break
    assert missing == 0
    # 2,000 records of a kilobyte cannot come in less than two seconds at a megabyte a second.
    assert len(spent) >= 3
    assert max(b - a for a, b in pairwise(spent)) < 2 << 20
