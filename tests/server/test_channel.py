"""An attacker between two nodes, who does not know the secret, can only end their connection."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respdyn.errors import PeerError
from respdyn.resp.replies import array, bulk
from respdyn.server.channel import HEAD_BYTES, Opener, Sealer
from respdyn.server.handshake import session_key

KEY = session_key(b"secret", b"1" * 32, b"2" * 32)
FRAMES = [[b"one"], [b"two", bytes(200_000)], [b"", b"\r\n"], [b"three" * 30]]


def sealed(frames: list[list[bytes]], key: bytes = KEY) -> list[bytes]:
    sealer = Sealer(key)
    encoded = [array([bulk(item) for item in items]) for items in frames]
    return [sealer.head(frame) + frame for frame in encoded]


def opened(data: bytes, pieces: list[int] | None = None, key: bytes = KEY) -> list[list[bytes]]:
    opener, found, at = Opener(key, 1 << 20), [], 0
    for size in [*(pieces or []), len(data)]:
        found += opener.open(data[at : at + size])
        at += size
    assert opener.unfinished == 0
    return found


@given(st.lists(st.lists(st.binary(max_size=80), min_size=1, max_size=4), max_size=6),
       st.lists(st.integers(1, 60), max_size=40))
def test_frames_arrive_as_they_were_sent_however_they_are_cut(
    frames: list[list[bytes]], pieces: list[int]
) -> None:
    assert opened(b"".join(sealed(frames)), pieces) == frames


def test_great_frames_arrive_in_pieces() -> None:
    assert opened(b"".join(sealed(FRAMES)), [5, 40_000, 70_000, 3, 90_050]) == FRAMES


def test_nothing_can_be_changed_on_the_way() -> None:
    frames = sealed(FRAMES)
    data = b"".join(frames)
    rng = random.Random(1)
    places = [*range(HEAD_BYTES + 10), *(rng.randrange(len(data)) for _ in range(300))]
    for at in places:
        changed = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        opener, found = Opener(KEY, 1 << 20), []
        try:
            for items in opener.open(changed):
                found.append(items)
        except PeerError:
            pass
        else:
            assert opener.unfinished, "it waits for the end of a frame that was made longer"
        assert found == FRAMES[: len(found)] != FRAMES


def test_nothing_can_be_inserted_repeated_left_out_or_reordered() -> None:
    one, two, three, four = sealed(FRAMES)
    for said in (
        [one, one], [two], [one, three], [one, two, four], [two, one],
        [one, *sealed([[b"inserted"]], session_key(b"guess", b"1" * 32, b"2" * 32))],
        [*sealed(FRAMES[:1], session_key(b"secret", b"3" * 32, b"2" * 32))],
    ):
        opener = Opener(KEY, 1 << 20)
        with pytest.raises(PeerError, match="not proved"):
            for frame in said:
                list(opener.open(frame))


def test_nothing_is_parsed_before_it_is_proved() -> None:
    for frame in (b"*2147483647\r\n", b"*1\r\n" * 100, b"%1\r\n*1\r\n:1\r\n:2\r\n"):
        for given_key, reason in ((bytes(32), "not proved"), (KEY, "malformed|not an array")):
            opener = Opener(KEY, 1 << 20)
            with pytest.raises(PeerError, match=reason):
                list(opener.open(Sealer(given_key).head(frame) + frame))


def test_a_frame_is_one_array_and_as_long_as_it_says() -> None:
    two = b"*1\r\n$1\r\na\r\n" * 2
    for frame in (two, b"*1\r\n$5\r\na\r\n", b":1\r\n", b"+OK\r\n"):
        with pytest.raises(PeerError, match="not an array"):
            opened(Sealer(KEY).head(frame) + frame)
    with pytest.raises(PeerError, match="of nothing"):
        opened(bytes(HEAD_BYTES))
    with pytest.raises(PeerError, match="too long"):
        opened((1 << 40).to_bytes(8, "big") + bytes(16))


def test_each_connection_has_a_key_of_its_own() -> None:
    keys = {
        session_key(secret, nonce, nonce2, binding)
        for secret in (b"", b"s") for nonce in (b"1" * 32, b"3" * 32)
        for nonce2 in (b"2" * 32, b"4" * 32) for binding in (b"", b"one session", b"another")
    }
    assert len(keys) == 24
