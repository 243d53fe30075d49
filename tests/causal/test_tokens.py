"""A token gives back its context to the key it was made for, and to nothing else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from respdyn.causal.codec import encode_rows
from respdyn.causal.context import Context
from respdyn.causal.dot import intern_actor
from respdyn.causal.tokens import INTERVALS_MAX, Seal
from respdyn.errors import DamagedError
from tests.laws.maps import ACTORS, contexts

GOLDEN = Path(__file__).parent / "golden-tokens"
LOCATOR = b"\x12\x34\x00user:1"
CONTEXT = Context({ACTORS[0]: (1, 5, 7, 2**64 - 1), ACTORS[1]: (0, 300)})
KEY = bytes(range(32))
SEAL = Seal((KEY,), LOCATOR)
A = intern_actor(bytes(range(16)))
B = intern_actor(bytes(range(100, 116)))


@given(contexts, st.binary(max_size=60))
def test_a_token_reads_back(context, locator):
    seal = Seal((KEY,), locator)
    assert seal.decode(seal.encode(context)) == context


@given(contexts)
def test_a_token_can_be_typed(context):
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert set(SEAL.encode(context)) <= set(letters)


def test_tokens_are_read_and_made_as_ever():
    """The layout is on paper: who changes it makes a new version, and adds a line."""
    for line in (GOLDEN / "tokens.txt").read_text().splitlines():
        name, token = line.split()
        if name.startswith("v2-"):
            with pytest.raises(DamagedError, match="earlier version"):
                SEAL.decode(token.encode())
            continue
        context = {
            "one-interval": Context({A: (0, 9)}),
            "two-intervals": Context({A: (3, 9, 12, 13), B: (0, 1)}),
        }[name.removeprefix("v3-")]
        assert SEAL.encode(context) == token.encode(), name
        assert SEAL.decode(token.encode()) == context, name


def test_the_empty_context_is_the_empty_token():
    assert SEAL.encode(Context()) == b""
    assert SEAL.decode(b"") == Context()


def test_another_keys_token_and_another_clusters_token_are_refused():
    token = SEAL.encode(CONTEXT)
    for seal in (Seal((KEY,), LOCATOR + b"2"), Seal((KEY,), b""), Seal((b"k" * 32,), LOCATOR)):
        with pytest.raises(DamagedError):
            seal.decode(token)


def test_a_token_of_an_earlier_key_is_good_as_long_as_the_key_is():
    new, newer = b"n" * 32, b"m" * 32
    token = SEAL.encode(CONTEXT)
    assert Seal((new, KEY), LOCATOR).decode(token) == CONTEXT
    assert Seal((new, KEY), LOCATOR).encode(CONTEXT) == Seal((new,), LOCATOR).encode(CONTEXT)
    with pytest.raises(DamagedError, match="read again"):
        Seal((newer, new), LOCATOR).decode(token)


def test_a_token_cannot_be_made_without_the_key():
    """All but the end can be copied from a token that one was given; the end cannot be made."""
    given = urlsafe_b64decode(SEAL.encode(CONTEXT) + b"=" * (-len(SEAL.encode(CONTEXT)) % 4))
    count = (1).to_bytes(4, "big")
    body = given[:13] + count + encode_rows(Context({ACTORS[0]: (0, 2**64 - 1)}))
    sized = len(LOCATOR).to_bytes(4, "big") + LOCATOR + body
    for end in (blake3(sized).digest(16), blake3(sized, key=bytes(32)).digest(16), given[-16:]):
        with pytest.raises(DamagedError, match="not made by this cluster"):
            SEAL.decode(urlsafe_b64encode(body + end).rstrip(b"="))


def test_a_token_from_before_there_were_keys_is_refused_and_the_error_says_what_to_do():
    body = b"\x01" + blake3(LOCATOR).digest(8) + encode_rows(CONTEXT)
    end = blake3(len(LOCATOR).to_bytes(4, "big") + LOCATOR + body).digest(8)
    with pytest.raises(DamagedError, match="earlier version.*read again"):
        SEAL.decode(urlsafe_b64encode(body + end).rstrip(b"="))


def test_a_token_of_too_many_intervals_is_refused():
    spans = tuple(edge for at in range(INTERVALS_MAX + 1) for edge in (3 * at, 3 * at + 1))
    assert SEAL.decode(SEAL.encode(Context({A: spans[2:]})))
    with pytest.raises(DamagedError, match="intervals"):
        SEAL.decode(SEAL.encode(Context({A: spans})))


def test_every_damaged_byte_is_refused():
    token = SEAL.encode(CONTEXT)
    for at in range(len(token)):
        for byte in range(256):
            damaged = token[:at] + bytes([byte]) + token[at + 1 :]
            if damaged != token:
                with pytest.raises(DamagedError):
                    SEAL.decode(damaged)


def test_every_truncation_and_extension_is_refused():
    token = SEAL.encode(CONTEXT)
    damaged = [token[:size] for size in range(1, len(token))]
    damaged += [token + bytes([byte]) for byte in range(256)]
    damaged += [bytes([byte]) + token for byte in range(256)]
    damaged += [token + b"=", token + b"==", token + token, b" " + token, token + b"\n"]
    for each in damaged:
        with pytest.raises(DamagedError):
            SEAL.decode(each)


@given(st.one_of(st.binary(min_size=1), st.text(min_size=1).map(lambda text: text.encode())))
def test_anything_else_is_refused(token):
    with pytest.raises(DamagedError):
        SEAL.decode(token)
