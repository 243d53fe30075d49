"""What only a store on a disk can promise: it survives its process, its node and its disk."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from respdyn.storage.rocksdb import RocksStore
from respdyn.storage.store import StoreError, seal
from tests.conftest import IN_CI
from tests.server.process import ROOT, as_mortal
from tests.server.stub import Logged
from tests.storage.engines import SECONDS, everything, flat, put, rocks, serve, settle

OPENER = """
import sys
from respdyn.storage.rocksdb import RocksStore
from respdyn.storage.store import StoreError
store = RocksStore(sys.argv[1])
try:
    store.open()
except StoreError as error:
    sys.exit(f"refused: {error}")
store.close()
"""

DOOMED = """
import os, signal, sys
from respdyn.storage.rocksdb import RocksStore
store = RocksStore(sys.argv[1], "no")
store.open()
os.kill(store.process_id(), signal.SIGSTOP)
generation = 0
while generation < 300:
    generation += 1
    store.submit(generation, [b"%d" % generation, b"x" * 100], generation % 7 == 0)
    assert not store.wants_write()
assert store.durable() == 0
print(store.process_id(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def until(store: RocksStore, condition: Callable[[], bool], what: str) -> None:
    """Serve the store until the condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never: {what} ({store.failure()})"
        serve(store, 0.05)


def open_elsewhere(directory: Path) -> subprocess.CompletedProcess[str]:
    """Open the directory from another process, which obeys the modes of files."""
    return subprocess.run(
        as_mortal([sys.executable, "-c", OPENER, str(directory)]), cwd=ROOT, timeout=SECONDS,
        text=True, capture_output=True, check=False,
    )


def abandon(store: RocksStore) -> None:
    """Kill the storage process; read what it still said, and start no other."""
    os.kill(store.process_id(), signal.SIGKILL)
    deadline = time.monotonic() + SECONDS
    while store.fileno() >= 0:
        assert time.monotonic() < deadline
        store.on_readable()
    store.close(0.0)


@contextmanager
def tmpfs(directory: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of that size, and a function that changes the size."""
    reason = ""
    if os.geteuid() != 0:
        reason = "only root may mount a small file system"
    else:
        directory.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
        if done.returncode:
            reason = f"no small file system here: {done.stderr.strip()}"
    if reason:
        if IN_CI:
            pytest.fail(f"{reason}, and RESPDYN_CI is set", pytrace=False)
        pytest.skip(reason)

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(directory)], check=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


# A clean stop


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_a_clean_stop_keeps_everything(tmp_path: Path, policy: str) -> None:
    table = {b"%d" % i: b"x" * i for i in range(1, 3000)}
    logged = Logged()
    store = RocksStore(str(tmp_path / "data"), policy, logged)
    store.open()
    store.submit(1, flat(table), policy == "always")
    store.submit(2, [b"1", b"", b"2", b"new"], policy == "always")
    assert store.close()
    assert store.durable() == 2
    assert logged.events == [], "a stop is no failure"
    del table[b"1"]
    table[b"2"] = b"new"
    with rocks(tmp_path / "data") as again:
        assert everything(again) == table
        assert again.damaged == 0
        assert again.loaded_pairs == len(table)


# kill -9


@pytest.mark.parametrize("seed", range(8))
def test_what_was_reported_durable_survives_the_storage_process(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    history: list[dict[bytes, bytes]] = []
    # Small, so that the kill also meets flushes and compactions.
    store = RocksStore(str(tmp_path / "data"), "no", write_buffer_bytes=1 << 18)
    store.open()
    end = time.monotonic() + 0.02 + 0.3 * rng.random()
    while time.monotonic() < end or not store.durable():
        batch = {
            b"%d" % rng.randrange(500): rng.choice([b"", rng.randbytes(rng.randint(1, 2000))])
            for _ in range(rng.randint(1, 10))
        }
        history.append(batch)
        store.submit(len(history), flat(batch), rng.random() < 0.2)
        serve(store)
    abandon(store)
    with rocks(tmp_path / "data") as again:
        found = everything(again)
        assert again.damaged == 0
    # Batches are whole and in order, so what is found is some beginning of the history.
    model: dict[bytes, bytes] = {}
    for batch in history[: store.durable()]:
        model |= batch
    for batch in [{}, *history[store.durable() :]]:
        model |= batch
        if found == {key: value for key, value in model.items() if value}:
            return
    pytest.fail(f"durable were {store.durable()} of {len(history)}; that is not what is found")


def test_what_was_handed_over_survives_the_node(tmp_path: Path) -> None:
    doomed = subprocess.run(
        [sys.executable, "-c", DOOMED, str(tmp_path / "data")], cwd=ROOT, timeout=SECONDS,
        stdout=subprocess.PIPE, text=True, check=False,
    )
    assert doomed.returncode == -signal.SIGKILL
    os.kill(int(doomed.stdout), signal.SIGCONT)
    with rocks(tmp_path / "data") as store:
        assert everything(store) == {b"%d" % i: b"x" * 100 for i in range(1, 301)}
        assert store.damaged == 0


def test_a_dead_storage_process_is_replaced_and_given_all_again(tmp_path: Path) -> None:
    logged = Logged()
    with rocks(tmp_path / "data", trace=logged) as store:
        put(store, 1, [b"before", b"1"])
        first = store.process_id()
        os.kill(first, signal.SIGSTOP)
        for generation in range(2, 102):
            store.submit(generation, [b"%d" % generation, b"x"], generation % 10 == 0)
        os.kill(first, signal.SIGKILL)
        until(store, lambda: store.failure() != "", "the death is noticed")
        assert store.durable() == 1
        assert str(tmp_path / "data") in store.failure()
        store.submit(102, [b"during", b"1"], True)
        settle(store, 102)
        assert store.failure() == "" and store.pending_bytes == 0
        assert store.process_id() not in (0, first)
        assert store.restarts == 1
        expected = {b"%d" % i: b"x" for i in range(2, 102)} | {b"before": b"1", b"during": b"1"}
        assert everything(store) == expected
    assert [name for name, _ in logged.events] == ["storage_failed", "storage_recovered"]


def test_a_storage_process_that_hangs_is_noticed_and_so_is_its_end(tmp_path: Path) -> None:
    logged = Logged()
    store = RocksStore(str(tmp_path / "data"), "no", logged, stall_s=0.2)
    store.open()
    try:
        put(store, 1, [b"before", b"1"])
        os.kill(store.process_id(), signal.SIGSTOP)
        store.submit(2, [b"during", b"1"], False)
        until(store, lambda: "no progress for 0.2 seconds" in store.failure(), "it is noticed")
        for generation in range(3, 60):     # more than the socket holds
            store.submit(generation, [b"%d" % generation, bytes(1 << 16)], False)
        os.kill(store.process_id(), signal.SIGCONT)
        settle(store, 59)
        assert store.failure() == "" and store.pending_bytes == 0 and store.restarts == 0
    finally:
        store.close(5.0)
    assert [name for name, _ in logged.events] == ["storage_failed", "storage_recovered"]


# Who may open it


def test_a_second_node_is_refused_by_name(tmp_path: Path) -> None:
    with rocks(tmp_path / "data") as store:
        done = open_elsewhere(tmp_path / "data")
        assert done.stderr == (
            f"refused: data directory {tmp_path / 'data'}:"
            f" in use by another node (process id {os.getpid()})\n"
        )
        put(store, 1, [b"still", b"served"])
    assert open_elsewhere(tmp_path / "data").returncode == 0


def test_an_unwritable_directory_is_reported(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for directory in (closed, closed / "data"):
        done = open_elsewhere(directory)
        assert done.stderr == f"refused: data directory {directory}: Permission denied\n"


def test_an_impossible_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name, reason in (("file", "Not a directory"), ("no/data", "No such file or directory")):
        store = RocksStore(str(tmp_path / name))
        with pytest.raises(StoreError) as raised:
            store.open()
        assert str(raised.value) == f"data directory {tmp_path / name}: {reason}"


def test_a_directory_of_another_format_is_reported_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "format").write_bytes(b"respdyn storage 2\n")
    store = RocksStore(str(tmp_path))
    with pytest.raises(StoreError, match="its format is b'respdyn storage 2"):
        store.open()
    assert not (tmp_path / "rocksdb").exists()


# Damage


def test_a_pair_that_is_not_what_was_stored_is_left_out_and_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with rocks(data) as store:
        put(store, 1, [b"a", b"1", b"b", b"2", b"c", b"3", b"d", b"4", b"e", b"5"])
    database = Rdict(str(data / "rocksdb"), Options(raw_mode=True))
    database[b"a"] = bytes([seal(b"a", b"1")[0] ^ 1]) + seal(b"a", b"1")[1:]    # its checksum
    database[b"b"] = seal(b"b", b"2")[:-1] + b"3"                               # its value
    database[b"c"] = seal(b"x", b"3")                                           # another's
    database[b"d"] = b"\0"                                                      # too short
    database.close()
    logged = Logged()
    with rocks(data, trace=logged) as store:
        assert everything(store) == {b"e": b"5"}
        assert store.damaged == 4
        assert sum(int(str(fields["count"])) for fields in logged.named("record_damaged")) == 4
        assert everything(store) == {b"e": b"5"}
        assert store.damaged == 4
    with rocks(data) as store:
        assert everything(store) == {b"e": b"5"}
        assert store.damaged > 0, "no node has written its answer yet"
        put(store, 1, [b"answer", b"1"])
    with rocks(data) as store:
        assert everything(store) == {b"answer": b"1", b"e": b"5"}
        assert store.damaged == 0


@pytest.mark.parametrize("kind", ["sst", "log"])
def test_bytes_changed_on_the_disk_are_never_served(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data"
    table = {b"key:%04d" % i: b"value of %04d;" % i * 5 for i in range(2000)}
    items = flat(table)
    store = RocksStore(str(data), "no")
    store.open()
    for generation in range(1, 41):     # one by one, so that each is a record of its own
        put(store, generation, items[100 * (generation - 1) : 100 * generation], True)
    abandon(store)
    if kind == "sst":
        database = Rdict(str(data / "rocksdb"), Options(raw_mode=True))
        database.flush(True)
        database.close()
    flips = 0
    for path in (data / "rocksdb").glob(f"*.{kind}"):
        content = bytearray(path.read_bytes())
        if (at := content.find(b"value of 1000;")) >= 0:
            content[at + 9] ^= 4
            path.write_bytes(content)
            flips += 1
    assert flips == 1
    with rocks(data) as store:
        found = everything(store)
        assert store.damaged > 0
        assert b"key:1000" not in found
        assert found.items() <= table.items()
        assert len(found) >= 1500, "RocksDB may give up a block of its log (32 KB), no more"
        put(store, 1, [b"answer", b"1"], True)
    with rocks(data) as store:
        assert everything(store) == {**found, b"answer": b"1"}
        assert store.damaged == 0


# The scrub


def test_damage_is_found_while_the_store_runs_and_written_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with rocks(data) as store:
        put(store, 1, [b"a", b"1", b"b", b"2", b"c", b"3"], True)
    database = Rdict(str(data / "rocksdb"), Options(raw_mode=True))
    database[b"b"] = seal(b"b", b"2")[:-1] + b"9"
    database.close()
    with rocks(data) as store:
        put(store, 1, [b"d", b"4"])
        until(store, lambda: bool(store.damaged_ranges), "the damage is found")
        assert store.damaged_ranges == [(b"b", b"b\0")]
        store.damaged_ranges.clear()
        put(store, 2, [b"b", b"2"], True)
        store.healed()
    with rocks(data) as store:
        assert everything(store) == {b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"}
        assert store.damaged == 0
        until(store, lambda: store.scrubs > 0, "all is looked at")
        assert not store.damaged_ranges


def test_an_unreadable_block_is_found_while_the_store_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    table = {b"key:%04d" % i: b"value of %04d;" % i * 5 for i in range(2000)}
    with rocks(data) as store:
        put(store, 1, flat(table), True)
    database = Rdict(str(data / "rocksdb"), Options(raw_mode=True))
    database.flush(True)
    database.close()
    flips = 0
    for path in (data / "rocksdb").glob("*.sst"):
        content = bytearray(path.read_bytes())
        if (at := content.find(b"value of 1000;")) >= 0:
            content[at + 9] ^= 4
            path.write_bytes(content)
            flips += 1
    assert flips == 1
    with rocks(data) as store:
        put(store, 1, [b"zzz", b"1"])
        until(store, lambda: bool(store.damaged_ranges), "the damage is found")
        ((low, high),) = store.damaged_ranges
        assert low <= b"key:1000" < high
        again = {name: value for name, value in table.items() if low <= name < high}
        assert len(again) < 200
        put(store, 2, flat(again), True)
        store.healed()
    with rocks(data) as store:
        assert everything(store) == table | {b"zzz": b"1"}
        assert store.damaged == 0


# A full disk


def test_a_full_disk_is_reported_and_heals_when_there_is_space(tmp_path: Path) -> None:
    logged = Logged()
    table = {b"%03d" % i: random.Random(i).randbytes(100_000) for i in range(300)}
    with tmpfs(tmp_path / "small", "16m") as resize:
        data = tmp_path / "small" / "data"
        with rocks(data, trace=logged) as store:
            for generation, (key, value) in enumerate(table.items(), 1):
                store.submit(generation, [key, value], generation % 10 == 0)
                serve(store)
            until(store, lambda: store.failure() != "", "the disk is full")
            assert str(data) in store.failure() and "No space left" in store.failure()
            assert store.durable() < 300
            assert store.restarts == 0
            resize("256m")
            settle(store, 300)
            until(store, lambda: store.failure() == "", "the trouble is over")
            assert store.restarts == 0 and store.damaged == 0
            assert everything(store) == table
        with rocks(data) as store:
            assert everything(store) == table
            assert store.damaged == 0
    names = [name for name, _ in logged.events]
    assert names == ["storage_failed", "storage_recovered"]
