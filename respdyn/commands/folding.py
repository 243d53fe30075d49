"""How the replies to the parts of a command of several keys become one reply.

A part that failed makes the whole reply that error: there is never a silent partial answer.
"""

from respdyn.resp.replies import OK, array, integer

_ERROR = 0x2D   # "-"


def as_array(replies: list[bytes]) -> bytes:
    return first_error(replies) or array(replies)


def as_sum(replies: list[bytes]) -> bytes:
    return first_error(replies) or integer(sum(int(reply[1:-2]) for reply in replies))


def all_ok(replies: list[bytes]) -> bytes:
    return first_error(replies) or OK


def first_error(replies: list[bytes]) -> bytes:
    for reply in replies:
        if reply[0] == _ERROR:
            return reply
    return b""


def bulks_of(reply: bytes) -> list[bytes]:
    """The values in an array or a set of bulk strings."""
    found: list[bytes] = []
    at = reply.index(b"\n") + 1
    while at < len(reply):
        end = reply.index(b"\r", at)
        size = int(reply[at + 1 : end])
        found.append(reply[end + 2 : end + 2 + size])
        at = end + 4 + size
    return found


def payload_of(reply: bytes) -> bytes | None:
    """The value in the reply to a GET; None if there was none."""
    if reply[:1] != b"$" or reply[1:2] == b"-":
        return None
    return reply[reply.index(b"\n") + 1 : -2]
