"""Slots are Redis Cluster's, and locators say what they locate."""

import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from respdyn.ring.hashing import SLOTS, locator, slot_of, split_locator
from tests.conftest import find_program

# Every way in which braces can stand in a key: (key, the part that is hashed).
TAGS = [
    (b"{user1000}.following", b"user1000"),
    (b"foo{}{bar}", b"foo{}{bar}"),
    (b"foo{{bar}}zap", b"{bar"),
    (b"foo{bar}{zap}", b"bar"),
    (b"foo{bar", b"foo{bar"),
    (b"foo}bar", b"foo}bar"),
    (b"}{bar}", b"bar"),
    (b"{}", b"{}"),
    (b"{", b"{"),
    (b"{}}", b"{}}"),
    (b"", b""),
    (b"\x00{\xff}\r\n", b"\xff"),
]


def dumb_slot(data: bytes) -> int:
    """CRC16-XMODEM bit by bit, as its definition has it."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % 16384


def test_slot_of_check_value() -> None:
    assert slot_of(b"123456789") == 12739


@pytest.mark.parametrize(("key", "hashed"), TAGS)
def test_only_the_hash_tag_decides_the_slot(key: bytes, hashed: bytes) -> None:
    assert slot_of(key) == dumb_slot(hashed)
    assert split_locator(locator(0, key))[0] == dumb_slot(hashed)


@given(st.binary())
def test_slots_are_crc16(key: bytes) -> None:
    assert slot_of(key.replace(b"{", b"")) == dumb_slot(key.replace(b"{", b""))


@given(st.integers(0, 255), st.binary())
def test_locator_gives_back_what_it_was_made_of(db: int, key: bytes) -> None:
    assert split_locator(locator(db, key)) == (slot_of(key), db, key)


@given(st.lists(st.tuples(st.integers(0, 15), st.binary(max_size=8)), unique=True))
def test_sorted_locators_keep_a_partition_together(places: list[tuple[int, bytes]]) -> None:
    locators = [locator(db, key) for db, key in places]
    assert len(set(locators)) == len(places)
    slots = [split_locator(one)[0] for one in sorted(locators)]
    assert slots == sorted(slots)
    assert all(slot < SLOTS for slot in slots), "ff ff is the node's own prefix"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[redis.Redis]:
    """A real redis-server in cluster mode, on ports of its own."""
    program = find_program("redis-server")
    assert program
    port, bus = free_port(), free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
         "--cluster-port", str(bus), "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(host="127.0.0.1", port=port)
    try:
        deadline_s = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert process.poll() is None, "redis-server ended"
                assert time.monotonic() < deadline_s, "redis-server does not answer"
                time.sleep(0.02)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """A port that no process uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.needs("redis-server")
def test_slots_are_redis_servers(redis_server: redis.Redis) -> None:
    rng = random.Random(1)
    keys = [key for key, _ in TAGS]
    keys += [bytes(rng.choices(b"{}ab\x00\xff", k=rng.randrange(12))) for _ in range(2000)]
    keys += [rng.randbytes(rng.randrange(40)) for _ in range(2000)]
    for key in keys:
        assert redis_server.cluster("KEYSLOT", key) == slot_of(key), key
