"""What clients ask of lists, and what the replies mean; judged by `queues`.

The result of a pop, a move or a look is the items that it gave, in order.
"""

from collections.abc import Sequence
from typing import Final

from respdyn.sim.operations import Op, expect

NAMES: Final = frozenset((b"RPUSH", b"LPUSH", b"LPOP", b"RPOP", b"BLPOP", b"LMOVE", b"LRANGE"))
MOVED: Final = b">"         # what is behind a list's name in that of the list it is moved to


def push(name: bytes, key: bytes, items: Sequence[bytes]) -> Op:
    """RPUSH or LPUSH."""
    return Op("tally", [name, key, *items], _settle_length)


def _settle_length(op: Op, reply: object) -> None:
    expect(isinstance(reply, int) and reply >= len(op.argv) - 2, op, reply)


def pop(name: bytes, key: bytes, count: int = 0) -> Op:
    """LPOP or RPOP, of so many, or of one without a count."""
    argv = [name, key, b"%d" % count] if count else [name, key]
    return Op("tally", argv, _settle_popped)


def _settle_popped(op: Op, reply: object) -> None:
    if isinstance(reply, bytes):
        reply = [reply]
    expect(reply is None or (isinstance(reply, list) and len(reply) > 0), op, reply)
    op.result = reply or []


def wait(key: bytes, wait_ms: int, timeout_ms: int) -> Op:
    """BLPOP for so long; `timeout_ms` for all that goes before and behind."""
    op = Op("tally", [b"BLPOP", key, b"%.3f" % (wait_ms / 1000)], _settle_waited)
    op.timeout_ms = 2 * timeout_ms + wait_ms
    return op


def _settle_waited(op: Op, reply: object) -> None:
    expect(reply is None or (isinstance(reply, list) and len(reply) == 2), op, reply)
    op.result = reply[1:] if isinstance(reply, list) else []


def move(key: bytes) -> Op:
    """LMOVE of the first item to the end of the list beside it."""
    return Op("tally", [b"LMOVE", key, key + MOVED, b"LEFT", b"RIGHT"], _settle_popped)


def show(key: bytes, terms: tuple[bytes, ...] = ()) -> Op:
    """LRANGE of all, perhaps under DYN.WITH."""
    argv = [b"DYN.WITH", *terms] if terms else []
    return Op("tally", [*argv, b"LRANGE", key, b"0", b"-1"], _settle_shown)


def _settle_shown(op: Op, reply: object) -> None:
    expect(isinstance(reply, list), op, reply)
    op.result = reply


def delete(key: bytes) -> Op:
    """DEL."""
    return Op("tally", [b"DEL", key], _settle_deleted)


def _settle_deleted(op: Op, reply: object) -> None:
    expect(reply in (0, 1), op, reply)
