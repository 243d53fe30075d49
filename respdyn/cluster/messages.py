"""Frames and messages: everything that one node says to another.

A *frame* is what a node sends a peer in one turn: a flat RESP array of bulk strings, a header and
then sections, each a run of equal-shaped entries whose number the header has.

    section    items per entry          meaning
    verify     locator, digest          "is this what you hold?"; answered only by `differ`
    feedback   locator, record          store this; report a sibling that you already held
    store      locator, record          store this (read repair, client contexts, covering writes)
    differ     position, record         of your frame: I hold this instead / this beside it
    forward    envelope, argv...        run this command for me; answered by `answer`
    answer     numbers, reply           the reply to forwarded commands that are answered alike
    request    number + body            a question of the control path
    response   number + body            the answer to it
    gossip     kind + body              a statement that wants no answer

The receiver works through them in this order: verifies come before the writes of the same turn, so
that a read never sees a write that was made after it.

What concerns a node that stands in for an owner travels in the same sections and is marked by the
first byte of the locator, which is below 64 otherwise: in `feedback` and `store` "keep this for
that owner" (`HINT_PART`, `HINT_WHOLE`, then the owner), in `verify` "do you keep something else
for any owner?" (`PROBE`). Silence is "no": such a node that has nothing does not contradict.

Acknowledgement is cumulative and rides in the header of whatever goes the other way. `applied`
says that every frame up to that number has taken effect in memory, `durable` that all it had to
store is as durable as the receiver's policy promises. A frame without content has number 0 and is
not acknowledged, so two idle nodes fall silent. Unless a client waits for it (`FLAG_HURRY`), an
acknowledgement may wait a little for a frame that leaves anyway. Numbers count within an *epoch*,
one life of one connection; a frame of an earlier epoch, or with a number that was seen, is dropped.

A frame that was held up on its way must not bring back a command that its sender has long tried
elsewhere. So each header echoes the receiver's own monotonic time, as the sender last saw it: the
frame cannot be older than the receiver's now less that echo. A forwarded command that may be older
than its envelope allows is answered with `NOT_RUN`. No two clocks are compared.

Source: cumulative acknowledgement as in TCP; decision 0003.
"""

from struct import Struct, pack, unpack
from typing import Final, cast

from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator, is_locator

PROTOCOL_VERSION: Final = 4

# version, flags, epoch, number, acknowledged epoch, applied, durable, sender's hybrid clock, its
# monotonic time in ms and the last such time that it has seen of the receiver, the mark that its
# disk holds (see `lives`), and how many verify, feedback, store, differ, forward, answer, request,
# response and gossip entries follow.
HEADER: Final = Struct(">BBQQQQQQQQQIIIIIIIII")
FLAG_DECLINES: Final = 8        # the sender would rather not coordinate: busy, or its clock is off
FLAG_CANNOT_STORE: Final = 1    # the sender's disk fails: it serves reads, and takes no writes
FLAG_NO_ROOM: Final = 2         # the sender keeps as many hints as it may: others should stand in
FLAG_CONGESTED: Final = 4       # too much waits there for a disk or a peer: hold who writes much
FLAG_BULK: Final = 16           # great values are at work there: it may be long silent over one
FLAG_HURRY: Final = 128         # the sender waits for the acknowledgement of this frame

# Before a locator, see above.
HINT_PART: Final = b"\x40"      # a change
HINT_WHOLE: Final = b"\x41"     # the whole state of the key, as the sender knows it
PROBE: Final = b"\x42"
_ID_BYTES: Final = 20

# Of a forwarded command: number, db, protocol (2 or 3), hops so far, R, W, bits, time-out in ms,
# for how many ms it may be begun, arguments that follow.
ENVELOPE: Final = Struct(">QBBBBBBIII")
IS_SLOPPY: Final = 1            # bits of an envelope
TAKES_EARLY: Final = 2          # its sender can answer early: it does not wait for a disk
NOT_RUN: Final = b""       # an answer: it came too late and was not begun; run it again, anywhere
UNKNOWN: Final = b"?"      # an answer: it was passed on, and what became of it is not known
# An answer to a read: too few owners can be reached from here; the sender may reach others.
TOO_FEW: Final = b"~"

# Of a differing entry: the frame's number, the section it was in, the position there.
POSITION: Final = Struct(">QBI")
IN_VERIFY: Final = 0
IN_FEEDBACK: Final = 1

# Before the reply: the records that were written for these commands are in this frame. Their sender
# holds them now as well, which makes two nodes; see `coordinator`. Instead of numbers,
# pairs: the command's number, and its record's position among the frame's feedback entries.
EARLY: Final = b"="
EARLY_OK: Final = b"=+"     # how each begins; a verbatim string goes on with digits
EARLY_PAIR: Final = Struct(">QI")

NUMBER: Final = Struct(">Q")

# First byte of a gossip entry.
GOSSIP_CANDIDATES: Final = b"c"    # nodes without a cluster that this one has met
GOSSIP_PROPOSAL: Final = b"p"      # a first ring
GOSSIP_PROMISE: Final = b"y"       # "I will adopt your first ring, and no other"
GOSSIP_RELEASE: Final = b"z"       # "you are free of the promise you made me"
GOSSIP_RING: Final = b"r"          # the ring as this node has it
GOSSIP_CLEARED: Final = b"x"       # a partition's cleared context
GOSSIP_MESSAGE: Final = b"m"       # a client has published this: deliver it to your subscribers
GOSSIP_COUNT: Final = b"n"         # so many subscribers here got a message of yours
GOSSIP_USER: Final = b"u"          # what holds of a user (ACL)
GOSSIP_EVENT: Final = b"e"         # this has happened to a key: deliver it to your subscribers
GOSSIP_INTEREST: Final = b"i"      # the classes of such events that this node's clients want
GOSSIP_CLOCK: Final = b"k"         # how the sender's wall clock differs from its monotonic one
GOSSIP_CHANGED: Final = b"v"       # records of these keys have changed here: caches are out of date
GOSSIP_LEAVING: Final = b"l"       # 1: this node stands aside: others are to coordinate; 0: not
GOSSIP_COLLECTED: Final = b"t"     # under which numbers tombstones were collected, by partition
GOSSIP_VOTE: Final = b"b"          # about the next ring, see `decision`
GOSSIP_STATE: Final = b"s"         # what the sender holds and knows, see `transfer`
GOSSIP_HELD: Final = b"h"          # "you were lost and are back, and not yet shown to clients"
GOSSIP_MOVED: Final = b"w"         # where members are that have moved since they joined
GOSSIP_KEEPS: Final = b"j"         # for whom the sender keeps hints, by partition; see `keepers`
GOSSIP_GAVE: Final = b"g"          # to whom the sender has given some
GOSSIP_LIFE: Final = b"f"          # who the sender is, and how far its disk has come, see `lives`
GOSSIP_KNOWN: Final = b"q"         # what the sender remembers of that
GOSSIP_KEYS: Final = b"d"          # the cluster's token keys, from member to member
GOSSIP_ENDS: Final = b"o"          # how far actors have come, proved, see `ends`
GOSSIP_LIBRARY: Final = b"F"       # what holds of a library of functions
GOSSIP_SCRIPT: Final = b"@"        # a script was loaded, or all were flushed, see `scripts`
GOSSIP_WAITS: Final = b"W"         # clients of the sender wait for keys, see `waits`
GOSSIP_OFFER: Final = b"O"         # there is something for one that waits
GOSSIP_GOES_ON: Final = b"1"       # a command that was forwarded is long work, see `long_work`
GOSSIP_PLACE: Final = b"a"         # "you stand where this member stood", see `address_takeover`


# What any node may send that has proved the secret: how a cluster is formed, found and joined, and
# what must be known of a node at the moment when it becomes a member.
OPEN_STATEMENTS: Final = frozenset((
    GOSSIP_CANDIDATES, GOSSIP_PROPOSAL, GOSSIP_PROMISE, GOSSIP_RELEASE, GOSSIP_RING, GOSSIP_CLOCK,
    GOSSIP_LEAVING, GOSSIP_INTEREST, GOSSIP_ENDS,
))
# And to a node that knows no ring yet: it believes who answers at the seeds that it was given.
FIRST_STATEMENTS: Final = OPEN_STATEMENTS | {
    GOSSIP_KEYS, GOSSIP_MOVED, GOSSIP_LIFE, GOSSIP_KNOWN, GOSSIP_PLACE,
}


def pair_head(first: bytes, second: bytes) -> bytes:
    """As `pair`, up to where the second one begins: who sends a large one does not copy it."""
    return b"$%d\r\n%b\r\n$%d\r\n" % (len(first), first, len(second))


def pair(first: bytes, second: bytes) -> bytes:
    """Two bulk strings, encoded."""
    return b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(first), first, len(second), second)


def bulk(item: bytes) -> bytes:
    """One bulk string, encoded."""
    return b"$%d\r\n%b\r\n" % (len(item), item)


def hint_name(name: bytes) -> tuple[str, Locator, bool]:
    """The owner, the locator, and whether it is whole, of a hint. Raises `PeerError`."""
    locator = name[1 + _ID_BYTES :]
    if name[:1] not in (HINT_PART, HINT_WHOLE) or not is_locator(locator):
        raise PeerError("a locator that cannot be")
    return name[1 : 1 + _ID_BYTES].hex(), locator, name[:1] == HINT_WHOLE


def encode_numbers(numbers: list[int]) -> bytes:
    """Numbers of commands, as an answer begins with them."""
    return pack(f">{len(numbers)}Q", *numbers)


def decode_numbers(item: bytes) -> tuple[int, ...]:
    """What `encode_numbers` made. Raises `PeerError`."""
    if not item or len(item) % NUMBER.size:
        raise PeerError("an answer without numbers")
    return unpack(f">{len(item) // NUMBER.size}Q", item)


def read_header(items: list[bytes]) -> tuple[int, ...]:
    """The header's fields, in `HEADER`'s order. Raises `PeerError` when it is none."""
    for item in cast("list[object]", items):
        if type(item) is not bytes:
            raise PeerError("a frame of something else than bulk strings")
    if not items or len(items[0]) != HEADER.size:
        raise PeerError("a frame without a proper header")
    fields = HEADER.unpack(items[0])
    if fields[0] != PROTOCOL_VERSION:
        raise PeerError(f"a frame of protocol version {fields[0]}, not {PROTOCOL_VERSION}")
    return fields
