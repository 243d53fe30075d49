"""A ring is a value that travels: what arrives is that value, or is refused."""

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respdyn.errors import DamagedError
from respdyn.ring.ring import (
    FILL,
    JOINT,
    READ,
    Member,
    MemberState,
    Move,
    Owners,
    Ring,
    decode_ring,
)
from tests.ring.clusters import even_ring, make_ring, member

GOLDEN_1 = Path(__file__).parent / "golden" / "ring-v1.hex"
GOLDEN = Path(__file__).parent / "golden" / "ring-v2.hex"


def small_ring() -> Ring:
    """The golden ring: members of every state, all fields filled in."""
    states: tuple[MemberState, ...] = "member", "joining", "member", "leaving"
    members = tuple(
        Member(f"{i:040x}", f"10.0.0.{i}", 6379, 7379, 16379, 8379, f"rack{i}", i + 1, state, i)
        for i, state in enumerate(states)
    )
    return Ring("5e" * 16, 7, 3, members, ((0, 2), (2, 0), (0, 2), (2, 0)))


def moving_ring() -> Ring:
    """The golden ring of version 2: partitions in every phase, one still to begin."""
    ring = small_ring()
    moves = tuple(Move(p, (2, 0), p, 6, 7) for p in (FILL, JOINT, READ))
    return msgspec.structs.replace(
        ring, owners=((3, 0), (0, 1), (1,), (0, 3, 2)), goal=((2, 0),) * 4, moves=moves,
        changes=2, token="5e" * 8,
    )


def test_golden_rings_stay_readable() -> None:
    assert decode_ring(bytes.fromhex(GOLDEN_1.read_text())) == small_ring()
    assert decode_ring(bytes.fromhex(GOLDEN.read_text())) == moving_ring()


def test_encoding_is_the_golden_one(request: pytest.FixtureRequest) -> None:
    """If this fails on purpose, raise the version and keep the old golden file."""
    if request.config.getoption("--rewrite"):
        GOLDEN.write_text(moving_ring().encode().hex() + "\n")
    assert moving_ring().encode().hex() == GOLDEN.read_text().strip()


@pytest.mark.parametrize("size", [1, 3, 30])
def test_what_is_encoded_is_decoded(size: int) -> None:
    ring = even_ring(size, zones=3)
    assert decode_ring(ring.encode()) == ring


def test_damaged_bytes_are_refused_or_a_valid_ring() -> None:
    """A ring comes from a peer: whatever it sends must not get further than this."""
    rng = random.Random(3)
    data = even_ring(3, partitions=16).encode()
    for _ in range(5000):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(damaged))
            choice = rng.random()
            if choice < 0.6:
                damaged[at] = rng.randrange(256)
            elif choice < 0.8:
                del damaged[at : at + rng.randrange(1, 4)]
            else:
                damaged[at:at] = rng.randbytes(rng.randrange(1, 4))
        try:
            decode_ring(bytes(damaged)).validate()
        except DamagedError:
            continue


@given(st.binary())
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        decode_ring(data)
    with pytest.raises(DamagedError):
        decode_ring(b"\x01" + data)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(DamagedError):
        decode_ring(b"\x01" + b"\x91" * 1_000_000)


def with_member(**changes: object) -> Ring:
    ring = even_ring(3)
    first = msgspec.structs.replace(ring.members[0], **changes)
    return msgspec.structs.replace(ring, members=(first, *ring.members[1:]))


def with_ring(**changes: object) -> Ring:
    return msgspec.structs.replace(even_ring(3), **changes)


def with_first_owners(*owners: int) -> Ring:
    changed: Owners = (owners, *even_ring(3).owners[1:])
    return with_ring(owners=changed)


def with_moves(*moves: Move) -> Ring:
    return with_ring(goal=even_ring(3).owners, moves=moves)


BROKEN = {
    "cluster id": with_ring(cluster_id="C" * 32),
    "version": with_ring(version=0),
    "n is not": with_ring(n=0),
    "no members": with_ring(members=()),
    "not sorted": with_ring(members=tuple(reversed(even_ring(3).members))),
    "power of two": with_ring(owners=even_ring(3).owners[:255]),
    "power of two ": with_ring(owners=()),
    "not 3 owners": with_first_owners(0, 1),
    "owner twice": with_first_owners(0, 1, 1),
    "unknown": with_first_owners(0, 1, 3),
    "unknown ": with_first_owners(0, 1, -1),
    "not 2 owners": with_member(state="leaving"),
    "40 hex": with_member(node_id="0" * 39),
    "a host is empty": with_member(host=""),
    "not printable": with_member(host="a\r\nb"),
    "zone": with_member(zone="\n"),
    "port": with_member(peer_port=65536),
    "weight": with_member(weight=0),
    "incarnation": with_member(incarnation=-1),
    "without a goal": with_ring(moves=(Move(0, (0, 1, 2), FILL, 1, 1),)),
    "goal is not for all": with_ring(goal=even_ring(3).owners[:255]),
    "owners, or too many": with_ring(goal=even_ring(3).owners, owners=((),) * 256),
    "an owner is unknown": with_ring(goal=even_ring(3).owners, owners=((-1,),) * 256),
    "unknown phase": with_moves(Move(0, (0,), 4, 1, 1)),
    "versions are wrong": with_moves(Move(0, (0,), FILL, 1, 9)),
    "moves are not sorted": with_moves(Move(1, (0,), FILL, 1, 1), Move(0, (0,), FILL, 1, 1)),
    "moves are not sorted ": with_moves(Move(256, (0,), FILL, 1, 1)),
    "token": with_ring(token="x"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_ring_that_breaks_a_promise_is_refused(reason: str) -> None:
    ring = BROKEN[reason]
    with pytest.raises(DamagedError, match=reason.strip()):
        ring.validate()
    with pytest.raises(DamagedError, match=reason.strip()):
        decode_ring(ring.encode())


def test_slots_of_all_partitions_are_all_slots_once() -> None:
    ring = even_ring(3, partitions=64)
    slots = [slot for partition in range(64) for slot in ring.slots_of(partition)]
    assert slots == list(range(16384))
    assert all(ring.partition_of(slot) == slot // 256 for slot in slots)


def test_newer_is_a_higher_version_of_the_same_cluster() -> None:
    old = even_ring(3)
    new = make_ring([member(i, "zone0") for i in range(4)], previous=old)
    assert new.newer_than(old)
    assert not old.newer_than(new)
    assert not new.newer_than(new)
    assert not msgspec.structs.replace(new, cluster_id="d" * 32).newer_than(old)


def test_members_are_found_by_id() -> None:
    ring = even_ring(3)
    assert all(ring.member(one.node_id) is one for one in ring.members)
    assert ring.member("0" * 40) is None
