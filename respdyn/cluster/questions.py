"""What the tasks of the control path ask other nodes, and what is answered (see `asking`).

Apart from whoever asks and answers, because their layout is msgspec's business: what defines
messages is not compiled (decision 0026).
"""

import msgspec


class Scan(msgspec.Struct, frozen=True, array_like=True, tag="scan"):
    """Names in an order that never changes, from a position on."""

    db: int
    slot: int
    place: int
    stop: int         # the slot at which to stop
    limit: int        # about how many records to look at
    hinted: bool = False      # among what is kept for others, not among what is owned


class Count(msgspec.Struct, frozen=True, array_like=True, tag="count"):
    """How many live keys of a database each partition here has."""

    db: int


class Tops(msgspec.Struct, frozen=True, array_like=True, tag="tops"):
    """What some partitions have seen, as the highest counter of each actor."""

    dbs: list[int]
    partitions: list[int]


class Clear(msgspec.Struct, frozen=True, array_like=True, tag="clear"):
    """Raise cleared contexts: (database, partition, actor -> counter)."""

    entries: list[tuple[int, int, dict[bytes, int]]]


class Explain(msgspec.Struct, frozen=True, array_like=True, tag="explain"):
    """What a replica holds under a locator."""

    locator: bytes
    hinted: bool = False      # what it keeps for others, not what it owns


class Status(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """How a node is."""


class Roots(msgspec.Struct, frozen=True, array_like=True, tag="roots"):
    """The roots of some partitions' hash trees. Fewer may be answered, from the front."""

    partitions: list[int]


class Segments(msgspec.Struct, frozen=True, array_like=True, tag="segments"):
    """The leaves of a partition's hash tree, and its cleared context."""

    partition: int


class Keys(msgspec.Struct, frozen=True, array_like=True, tag="keys"):
    """Locators and digests in some segments of a partition, from a position on."""

    partition: int
    segments: list[int]
    slot: int
    place: int


class Fetch(msgspec.Struct, frozen=True, array_like=True, tag="fetch"):
    """Some keys' digests now, and the records whose digest is still the one given."""

    names: list[tuple[bytes, bytes]]


class Mend(msgspec.Struct, frozen=True, array_like=True, tag="mend"):
    """Compare all copies with everybody, from now on if `starts`: how far is that?"""

    starts: bool


class Listening(msgspec.Struct, frozen=True, array_like=True, tag="listening"):
    """Which channels or patterns are listened to, or how many listen to each of `names`."""

    kind: int
    pattern: bytes
    names: list[bytes] | None = None


class Held(msgspec.Struct, frozen=True, array_like=True, tag="held"):
    """What a node holds of a key: whether that is more than a part (it is an owner, or keeps the
    whole key for one), the record, and what it knows to be cleared of the key's database."""

    locator: bytes


class ClearHint(msgspec.Struct, frozen=True, array_like=True, tag="clearhint"):
    """Keep cleared contexts for an owner that is missing: as in `Clear`."""

    owner: str
    entries: list[tuple[int, int, dict[bytes, int]]]


class Deliver(msgspec.Struct, frozen=True, array_like=True, tag="deliver"):
    """Hints for the node that is asked: name, since when they were kept (ms since 1970), content.

    Answered once they are as durable as the policy promises.
    """

    entries: list[tuple[bytes, int, bytes]]


class HintSerial(msgspec.Struct, frozen=True, array_like=True, tag="hintserial"):
    """The number of the last write that was kept as a hint."""


class HintsUpto(msgspec.Struct, frozen=True, array_like=True, tag="hintsupto"):
    """How many hints have something that was kept up to this number."""

    serial: int


class Vow(msgspec.Struct, frozen=True, array_like=True, tag="vow"):
    """Promise numbers, as in `Promise`, of partitions that the asked node need not own.

    Answered, once that is durable, with the highest number promised of each; 0: none is.
    """

    version: int
    numbers: list[tuple[int, int]]      # partition, number


class Remnants(msgspec.Struct, frozen=True, array_like=True, tag="remnants"):
    """Can nothing older of these partitions come from the asked node any more? One word for each:
    it keeps no hint and no copy that it does not own, nor did while a message may be under way."""

    version: int
    partitions: list[int]


class Promise(msgspec.Struct, frozen=True, array_like=True, tag="promise"):
    """May these be forgotten under a number? Locators with the digests of what should be there."""

    partition: int
    version: int      # of the ring by which the asking node is an owner
    number: int
    names: list[tuple[bytes, bytes]]


class Drop(msgspec.Struct, frozen=True, array_like=True, tag="drop"):
    """All owners have promised the number: forget those that are still the same."""

    partition: int
    version: int
    number: int
    names: list[tuple[bytes, bytes]]
    is_early: bool = False      # before the grace was over


class Same(msgspec.Struct, frozen=True, array_like=True, tag="same"):
    """Are these still what is there, and long expired?"""

    partition: int
    version: int
    names: list[tuple[bytes, bytes]]


class Digests(msgspec.Struct, frozen=True, array_like=True, tag="digests"):
    """What tells the states of some keys from any other; empty for a key that is not there."""

    locators: list[bytes]


class Pull(msgspec.Struct, frozen=True, array_like=True, tag="pull"):
    """All records of some partitions (sorted), in the order of slots, from a position on."""

    partitions: list[int]
    slot: int
    place: int


class Offer(msgspec.Struct, frozen=True, array_like=True, tag="offer"):
    """Names and digests of what the sender will drop, to an owner: which does it hold not so?"""

    to: str
    partition: int
    entries: list[tuple[bytes, bytes]]


class Give(msgspec.Struct, frozen=True, array_like=True, tag="give"):
    """Records to be joined by an owner; answered when they are as durable as its policy says."""

    to: str
    partition: int
    records: list[tuple[bytes, bytes]]


class Sizes(msgspec.Struct, frozen=True, array_like=True, tag="sizes"):
    """How much a node holds of each partition: (partition, records, about how many bytes)."""


Question = (
    Scan | Count | Tops | Clear | Explain | Status | Roots | Segments | Keys | Fetch
    | Listening | Held | ClearHint | Deliver | HintSerial | HintsUpto | Mend
    | Promise | Vow | Remnants | Drop | Same | Digests | Pull | Offer | Give | Sizes
)


# ---- answers, where they are more than a value ----


class Leaves(msgspec.Struct, array_like=True):
    """The answer to `Segments`."""

    leaves: bytes
    cleared: list[tuple[int, dict[bytes, int]]]      # by database


class Page(msgspec.Struct, array_like=True):
    """The answer to `Keys`; it goes on from a position."""

    entries: list[tuple[bytes, bytes]]
    slot: int
    place: int


class Mending(msgspec.Struct, array_like=True):
    """The answer to `Mend`."""

    left: int           # comparisons that were not clean since the repair began
    repaired: int       # keys that this node has repaired since, here or at others


class Promised(msgspec.Struct, array_like=True):
    """The answer to `Promise`. Number 0: nothing is promised, `same` is empty."""

    number: int
    same: list[bool]


class Records(msgspec.Struct, array_like=True):
    """The answer to `Pull`; it goes on from a position, slot `SLOTS` is the end."""

    records: list[tuple[bytes, bytes]]
    cleared: list[tuple[int, int, dict[bytes, int]]]      # database, partition, tops
    slot: int
    place: int


# ---- what a task may wish for beside a question ----


class Pause(msgspec.Struct, frozen=True):
    """Alone in a step: go on after so long. There is no answer."""

    ms: int


class Run(msgspec.Struct, frozen=True):
    """A command on one key to be run on the task's terms; the answer is its reply."""

    argv: list[bytes]
    db: int
