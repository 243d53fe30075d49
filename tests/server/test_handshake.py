"""Nothing a stranger says is parsed further than its shape, and no proof can be used twice."""

import pytest

from respdyn.errors import PeerError
from respdyn.server.handshake import (
    HELLO,
    MAGIC,
    MAX_BYTES,
    VERSION,
    WELCOME,
    decode,
    dialer_proof,
    encode,
    listener_proof,
    read_hello,
    read_offer,
    read_welcome,
)

SECRET, NONCE, NONCE2 = b"secret", b"1" * 32, b"2" * 32


def test_what_is_encoded_is_decoded_however_it_is_cut() -> None:
    message = encode(b"HELLO", b"", b"\r\n$5\r\n", bytes(1000))
    assert decode(message + b"more") == ([b"HELLO", b"", b"\r\n$5\r\n", bytes(1000)], b"more")
    for end in range(len(message)):
        assert decode(message[:end]) is None


@pytest.mark.parametrize("data", [
    b"PING\r\n", b"*5\r\n", b"*9999999\r\n", b"*-1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n*1\r\n",
    b"*1\r\n:1\r\n", b"*1\r\n$65537\r\n", b"*1\r\n$99999999999999", b"*1\r\n$1\r\nabc",
    b"*+1\r\n", b"* 1\r\n", b"*\r\n", b"*1\r\n$3\r\nabcde", bytes(100), b"*" * MAX_BYTES,
    b"*2\r\n$65000\r\n" + bytes(65000) + b"\r\n$65000\r\n" + bytes(600),
])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        decode(data)


def test_proofs_bind_secret_nonces_and_greeting() -> None:
    good = dialer_proof(SECRET, NONCE, NONCE2, b"me")
    assert read_hello(SECRET, NONCE, [HELLO, NONCE2, good, b"me"]) == (NONCE2, b"me")
    for secret, nonce, nonce2, greeting in (
        (b"other", NONCE, NONCE2, b"me"), (SECRET, NONCE2, NONCE2, b"me"),
        (SECRET, NONCE, NONCE, b"me"), (SECRET, NONCE, NONCE2, b"you"),
    ):
        with pytest.raises(PeerError, match="wrong peer secret"):
            read_hello(secret, nonce, [HELLO, nonce2, good, greeting])


def test_a_proof_is_of_one_tls_session() -> None:
    """An attacker in between with a certificate that both believe has a session with each."""
    good = dialer_proof(SECRET, NONCE, NONCE2, b"me", b"one session")
    assert read_hello(SECRET, NONCE, [HELLO, NONCE2, good, b"me"], b"one session")
    for other in (b"another", b""):
        with pytest.raises(PeerError, match="wrong peer secret"):
            read_hello(SECRET, NONCE, [HELLO, NONCE2, good, b"me"], other)
        proof = listener_proof(SECRET, NONCE, NONCE2, b"me", b"one session")
        with pytest.raises(PeerError, match="wrong peer secret"):
            read_welcome(SECRET, NONCE, NONCE2, [WELCOME, proof, b"me"], other)


def test_a_dialers_proof_is_no_listeners_proof() -> None:
    reflected = dialer_proof(SECRET, NONCE, NONCE2, b"me")
    with pytest.raises(PeerError, match="wrong peer secret"):
        read_welcome(SECRET, NONCE, NONCE2, [WELCOME, reflected, b"me"])
    proof = listener_proof(SECRET, NONCE, NONCE2, b"me")
    assert read_welcome(SECRET, NONCE, NONCE2, [WELCOME, proof, b"me"]) == b"me"


def test_an_offer_of_another_version_or_service_is_refused() -> None:
    assert read_offer([MAGIC, VERSION, NONCE]) == NONCE
    for offer in ([MAGIC, b"9", NONCE], [MAGIC, VERSION, b"short"], [b"-ERR", VERSION, NONCE], []):
        with pytest.raises(PeerError):
            read_offer(offer)
