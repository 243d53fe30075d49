"""What `respdyn.ports.Store` promises, kept by both engines."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from respdyn.ports import Store
from respdyn.storage.memory import MemoryStore
from tests.storage.engines import everything, flat, opened, put, serve, settle


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with opened(request.param, tmp_path / "data") as one:
        yield one


def test_a_new_store_is_empty_and_nothing_is_durable(store: Store) -> None:
    assert everything(store) == {}
    assert store.durable() == 0


@pytest.mark.parametrize("sync", [False, True])
def test_what_is_durable_is_loaded(store: Store, sync: bool) -> None:
    put(store, 1, [b"a", b"1", b"b", b"2"], sync)
    assert store.durable() == 1
    assert everything(store) == {b"a": b"1", b"b": b"2"}


def test_loading_takes_nothing_away(store: Store) -> None:
    put(store, 1, [b"a", b"1"])
    assert everything(store) == everything(store) == {b"a": b"1"}
    put(store, 2, [b"b", b"2"])
    assert everything(store) == {b"a": b"1", b"b": b"2"}


def test_a_later_batch_overwrites(store: Store) -> None:
    for generation in range(1, 301):
        store.submit(generation, [b"a", b"%d" % generation], False)
    settle(store, 300)
    assert everything(store) == {b"a": b"300"}


def test_an_empty_value_deletes(store: Store) -> None:
    put(store, 1, [b"a", b"1", b"b", b"2"])
    put(store, 2, [b"a", b"", b"never", b""])
    assert everything(store) == {b"b": b"2"}
    put(store, 3, [b"a", b"again"])
    assert everything(store) == {b"a": b"again", b"b": b"2"}


def test_a_batch_puts_and_deletes_as_one(store: Store) -> None:
    put(store, 1, [b"old", b"1"])
    put(store, 2, [b"new", b"1", b"old", b""], True)
    assert everything(store) == {b"new": b"1"}


def test_an_empty_batch_becomes_durable(store: Store) -> None:
    put(store, 1, [])
    put(store, 2, [], True)
    assert everything(store) == {}


def test_generations_may_skip_but_never_stand_still(store: Store) -> None:
    put(store, 5, [b"a", b"1"])
    put(store, 1 << 40, [b"a", b"2"])
    for generation in (1 << 40, 6):
        with pytest.raises(AssertionError):
            store.submit(generation, [b"a", b"3"], False)
    assert store.durable() == 1 << 40
    assert everything(store) == {b"a": b"2"}


def test_durable_never_falls_and_never_runs_ahead(store: Store) -> None:
    last = 0
    for generation in range(1, 1001):
        store.submit(generation, [b"%d" % generation, b"x" * 100], generation % 50 == 0)
        serve(store)
        assert last <= store.durable() <= generation
        last = store.durable()
    settle(store, 1000)
    assert store.durable() == 1000
    assert len(everything(store)) == 1000


def test_keys_are_ordered_as_bytes(store: Store) -> None:
    keys = [b"\xff\xff", b"\xff", b"b", b"a\0", b"a", b"\0\0", b"\0", b"B", b"\x80", b"ab" * 500]
    put(store, 1, [item for key in keys for item in (key, b"of " + key)])
    assert list(everything(store).items()) == [(key, b"of " + key) for key in sorted(keys)]


def test_a_value_may_be_any_bytes(store: Store) -> None:
    table = {b"%d" % i: bytes([i]) for i in range(256)} | {b"all": bytes(range(256)) * 9}
    put(store, 1, flat(table))
    assert everything(store) == table


def test_a_value_of_ten_megabytes_comes_back(store: Store) -> None:
    big = random.Random(1).randbytes(10_000_000)
    put(store, 1, [b"big", big, b"small", b"1"], True)
    assert everything(store) == {b"big": big, b"small": b"1"}


def test_a_hundred_thousand_pairs_come_back_a_few_thousand_at_a_time(store: Store) -> None:
    table = {b"key:%06d" % i: b"value:%d" % i for i in range(100_000)}
    items = flat(table)
    for generation in range(1, 101):
        start = 2000 * (generation - 1)
        store.submit(generation, items[start : start + 2000], generation == 100)
    settle(store, 100)
    chunks = list(store.load())
    assert max(map(len, chunks)) <= 2 * 10_000
    assert [item for chunk in chunks for item in chunk] == items


@pytest.mark.parametrize("seed", range(3))
def test_any_history_leaves_what_a_dict_would_hold(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    model: dict[bytes, bytes] = {}
    generation = 0
    for _ in range(400):
        generation += rng.randint(1, 3)
        batch = {
            b"%d" % rng.randrange(200): rng.choice([b"", rng.randbytes(rng.randint(1, 3000))])
            for _ in range(rng.randint(1, 20))
        }
        model |= batch
        store.submit(generation, flat(batch), rng.random() < 0.05)
        if rng.random() < 0.3:
            serve(store)
    settle(store, generation)
    assert everything(store) == {key: value for key, value in model.items() if value}


def test_the_memory_engine_of_a_server_keeps_nothing_and_is_durable_at_once() -> None:
    store = MemoryStore(keeps=False)
    store.submit(1, [b"a", b"1"], True)
    assert store.durable() == 1
    assert everything(store) == {}
