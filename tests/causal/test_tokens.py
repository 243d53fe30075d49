"""A token gives back its context to the key it was made for, and to nothing else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respdyn.causal.context import Context
from respdyn.causal.tokens import decode_token, encode_token
from respdyn.errors import DamagedError
from tests.laws.maps import ACTORS, contexts

LOCATOR = b"\x12\x34\x00user:1"
CONTEXT = Context({ACTORS[0]: (1, 5, 7, 2**64 - 1), ACTORS[1]: (0, 300)})


@given(contexts, st.binary(max_size=60))
def test_a_token_reads_back(context, locator):
    assert decode_token(locator, encode_token(locator, context)) == context


@given(contexts)
def test_a_token_can_be_typed(context):
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert set(encode_token(LOCATOR, context)) <= set(letters)


def test_the_empty_context_is_the_empty_token():
    assert encode_token(LOCATOR, Context()) == b""
    assert decode_token(LOCATOR, b"") == Context()


def test_another_keys_token_and_another_secrets_token_are_refused():
    token = encode_token(b"secret" + LOCATOR, CONTEXT)
    for locator in (b"secret" + LOCATOR + b"2", b"Secret" + LOCATOR, LOCATOR):
        with pytest.raises(DamagedError):
            decode_token(locator, token)


def test_a_token_cannot_be_made_from_another_without_the_secret():
    """The hash of the locator can be copied from a token that one was given; the end cannot."""
    given = urlsafe_b64decode(encode_token(b"secret" + LOCATOR, CONTEXT) + b"==")
    wanted = urlsafe_b64decode(encode_token(LOCATOR, Context({ACTORS[0]: (0, 2**63)})) + b"==")
    forged = urlsafe_b64encode(given[:9] + wanted[9:]).rstrip(b"=")
    with pytest.raises(DamagedError):
        decode_token(b"secret" + LOCATOR, forged)


def test_every_damaged_byte_is_refused():
    token = encode_token(LOCATOR, CONTEXT)
    for at in range(len(token)):
        for byte in range(256):
            damaged = token[:at] + bytes([byte]) + token[at + 1 :]
            if damaged != token:
                with pytest.raises(DamagedError):
                    decode_token(LOCATOR, damaged)


def test_every_truncation_and_extension_is_refused():
    token = encode_token(LOCATOR, CONTEXT)
    damaged = [token[:size] for size in range(1, len(token))]
    damaged += [token + bytes([byte]) for byte in range(256)]
    damaged += [bytes([byte]) + token for byte in range(256)]
    damaged += [token + b"=", token + b"==", token + token, b" " + token, token + b"\n"]
    for each in damaged:
        with pytest.raises(DamagedError):
            decode_token(LOCATOR, each)


@given(st.one_of(st.binary(min_size=1), st.text(min_size=1).map(lambda text: text.encode())))
def test_anything_else_is_refused(token):
    with pytest.raises(DamagedError):
        decode_token(LOCATOR, token)
