"""Replies are written as the protocols have them, in RESP2 and in RESP3."""

import math

import hiredis
import pytest

from respdyn.errors import ReplyError
from respdyn.resp import replies

ONE_TWO = [b":1\r\n", b":2\r\n"]


def parsed(reply: bytes) -> object:
    reader = hiredis.Reader()
    reader.feed(reply)
    value = reader.gets()
    assert not reader.has_data()
    return value


@pytest.mark.parametrize(("reply", "bytes_"), [
    (replies.bulk(b"a\r\n"), b"$3\r\na\r\n\r\n"),
    (replies.text("é"), b"$2\r\n\xc3\xa9\r\n"),
    (replies.status(b"OK"), b"+OK\r\n"),
    (replies.integer(0), b":0\r\n"),
    (replies.integer(1023), b":1023\r\n"),
    (replies.integer(1024), b":1024\r\n"),
    (replies.integer(-1), b":-1\r\n"),
    (replies.null(False), b"$-1\r\n"),
    (replies.null(True), b"_\r\n"),
    (replies.null_array(False), b"*-1\r\n"),
    (replies.null_array(True), b"_\r\n"),
    (replies.array(ONE_TWO), b"*2\r\n:1\r\n:2\r\n"),
    (replies.array([]), b"*0\r\n"),
    (replies.bulks([b"a", b""]), b"*2\r\n$1\r\na\r\n$0\r\n\r\n"),
    (replies.map_([(b":1\r\n", b":2\r\n")], False), b"*2\r\n:1\r\n:2\r\n"),
    (replies.map_([(b":1\r\n", b":2\r\n")], True), b"%1\r\n:1\r\n:2\r\n"),
    (replies.set_(ONE_TWO, False), b"*2\r\n:1\r\n:2\r\n"),
    (replies.set_(ONE_TWO, True), b"~2\r\n:1\r\n:2\r\n"),
    (replies.push(ONE_TWO, False), b"*2\r\n:1\r\n:2\r\n"),
    (replies.push(ONE_TWO, True), b">2\r\n:1\r\n:2\r\n"),
    (replies.double(1.5, False), b"$3\r\n1.5\r\n"),
    (replies.double(1.5, True), b",1.5\r\n"),
    (replies.double(3.0, True), b",3\r\n"),
    (replies.double(math.inf, True), b",inf\r\n"),
    (replies.double(-math.inf, False), b"$4\r\n-inf\r\n"),
    (replies.boolean(True, True), b"#t\r\n"),
    (replies.boolean(False, True), b"#f\r\n"),
    (replies.boolean(True, False), b":1\r\n"),
    (replies.verbatim(b"ab", False), b"$2\r\nab\r\n"),
    (replies.verbatim(b"ab", True), b"=6\r\ntxt:ab\r\n"),
])
def test_replies_have_their_bytes_and_a_client_can_read_them(reply: bytes, bytes_: bytes) -> None:
    assert reply == bytes_
    parsed(reply)


@pytest.mark.parametrize("quoted", ["a\r\n+OK", "\r", "\n\n", "\r\n:1\r\n"])
def test_an_error_cannot_smuggle_a_second_reply(quoted: str) -> None:
    reply = replies.error(ReplyError(f"ERR unknown '{quoted}'").text)
    assert reply.count(b"\r") == reply.count(b"\n") == 1
    assert isinstance(parsed(reply), hiredis.ReplyError)


def test_an_error_carries_a_clients_bytes_as_they_are() -> None:
    assert replies.error("ERR 'é\xff'") == b"-ERR '\xe9\xff'\r\n"
    assert replies.error("ERR \u20ac") == b"-ERR ?\r\n"
