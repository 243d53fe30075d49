"""What clients ask of streams, and what the replies mean; judged by `logs`.

All read in one group, each as a consumer of its own. Nothing is ever removed from a stream.
"""

from typing import Final

from respdyn.sim.operations import Op, expect

GROUP: Final = b"g"
NAMES: Final = frozenset((b"XADD", b"XGROUP", b"XREADGROUP", b"XACK", b"XAUTOCLAIM", b"XRANGE"))

Entry = tuple[bytes, bytes]     # id, value


def key_of(op: Op) -> bytes:
    """The stream that an operation is about."""
    return op.argv[{b"XGROUP": 2, b"XREADGROUP": 7}.get(op.argv[0], 1)]


def create(key: bytes) -> Op:
    """XGROUP CREATE; refused if the group is there."""
    argv = [b"XGROUP", b"CREATE", key, GROUP, b"0", b"MKSTREAM"]
    return Op("tally", argv, _settle_created)


def _settle_created(op: Op, reply: object) -> None:
    expect(reply == b"OK", op, reply)


def add(key: bytes, value: bytes) -> Op:
    """XADD; the result is the id."""
    return Op("tally", [b"XADD", key, b"*", b"v", value], _settle_added)


def _settle_added(op: Op, reply: object) -> None:
    expect(isinstance(reply, bytes) and reply.count(b"-") == 1, op, reply)


def read(key: bytes, consumer: bytes, count: int) -> Op:
    """XREADGROUP of what is new; the result is the entries."""
    argv = [
        b"XREADGROUP", b"GROUP", GROUP, consumer, b"COUNT", b"%d" % count, b"STREAMS", key, b">",
    ]
    return Op("tally", argv, _settle_read)


def _settle_read(op: Op, reply: object) -> None:
    if isinstance(reply, list):
        expect(len(reply) == 1 and reply[0][0] == key_of(op), op, reply)
        reply = reply[0][1]
    op.result = entries_in(reply or [])


def claim(key: bytes, consumer: bytes, count: int) -> Op:
    """XAUTOCLAIM of whatever is pending."""
    argv = [b"XAUTOCLAIM", key, GROUP, consumer, b"0", b"0", b"COUNT", b"%d" % count]
    return Op("tally", argv, _settle_claimed)


def _settle_claimed(op: Op, reply: object) -> None:
    assert isinstance(reply, list)
    expect(len(reply) == 3 and not reply[2], op, reply)     # nothing is deleted here
    op.result = entries_in(reply[1])


def ack(key: bytes, id_: bytes) -> Op:
    """XACK of one entry; the result is whether it was pending."""
    return Op("tally", [b"XACK", key, GROUP, id_], _settle_acked)


def _settle_acked(op: Op, reply: object) -> None:
    expect(reply in (0, 1), op, reply)


def show(key: bytes, terms: tuple[bytes, ...] = ()) -> Op:
    """XRANGE of all, perhaps under DYN.WITH."""
    argv = [b"DYN.WITH", *terms] if terms else []
    return Op("tally", [*argv, b"XRANGE", key, b"-", b"+"], _settle_shown)


def _settle_shown(op: Op, reply: object) -> None:
    expect(isinstance(reply, list), op, reply)
    op.result = entries_in(reply)


def entries_in(reply: object) -> list[Entry]:
    """Id and value of each entry of a reply."""
    assert isinstance(reply, list)
    return [(id_, fields[1]) for id_, fields in reply]


def order_of(id_: bytes) -> tuple[int, int]:
    """An id as two numbers."""
    ms, _, seq = id_.partition(b"-")
    return int(ms), int(seq)
