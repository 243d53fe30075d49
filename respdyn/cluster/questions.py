"""What the tasks of the control path ask other nodes, and what is answered (see `tasks`).

Apart from the code that asks and answers, because their layout is msgspec's business: what defines
messages is not compiled (decision 0026).

Every number, length and locator is judged here, when a question is read (`read_question`), so that
the code that answers need not check whether a slot exists. What a peer says may be anything.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, get_args

import msgspec
from msgspec import Meta

from respdyn.cluster.cleared import check_tops, decode_tops
from respdyn.cluster.hint import CLEARING
from respdyn.errors import PeerError
from respdyn.ring.hashing import DATABASES, SLOTS, Locator, is_locator

Db = Annotated[int, Meta(ge=0, lt=DATABASES)]
Slot = Annotated[int, Meta(ge=0, le=SLOTS)]             # `SLOTS` is the end
Place = Annotated[int, Meta(ge=0, le=1 << 32)]          # a CRC-32; one more is the end
Partition = Annotated[int, Meta(ge=0, lt=SLOTS)]        # `read_question` knows how many there are
Natural = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Segment = Annotated[int, Meta(ge=0, lt=1 << 20)]
NodeId = Annotated[str, Meta(pattern="^[0-9a-f]{40}\\Z")]
Names = list[tuple[Locator, bytes]]                     # locators, each with a digest or a record
Highest = dict[bytes, int]                              # of each actor's counters
Entries = list[tuple[Db, Partition, Highest]]


class QuestionStruct(msgspec.Struct, frozen=True, array_like=True):
    """What all questions have."""

    stores: ClassVar[bool] = False      # its answer waits until what it stored is on the disk


class Scan(QuestionStruct, frozen=True, tag="scan"):
    """Names in an order that never changes, from a position on."""

    db: Db
    slot: Slot
    place: Place
    stop: Slot        # the slot at which to stop
    limit: Natural    # about how many records to look at
    hinted: bool = False      # among what is kept for others, not among what is owned


class Count(QuestionStruct, frozen=True, tag="count"):
    """How many live keys of a database each partition here has."""

    db: Db


class Tops(QuestionStruct, frozen=True, tag="tops"):
    """What some partitions have seen, as the highest counter of each actor."""

    dbs: list[Db]
    partitions: list[Partition]


class Clear(QuestionStruct, frozen=True, tag="clear"):
    """Raise cleared contexts: (database, partition, actor -> counter)."""

    stores: ClassVar[bool] = True
    entries: Entries


class Explain(QuestionStruct, frozen=True, tag="explain"):
    """What a replica holds under a locator."""

    locator: Locator
    hinted: bool = False      # what it keeps for others, not what it owns


class Status(QuestionStruct, frozen=True, tag="status"):
    """The state of a node."""


class Roots(QuestionStruct, frozen=True, tag="roots"):
    """The roots of some partitions' hash trees. Fewer may be answered, from the front."""

    partitions: list[Partition]


class Segments(QuestionStruct, frozen=True, tag="segments"):
    """The leaves of a partition's hash tree, and its cleared context."""

    partition: Partition


class Keys(QuestionStruct, frozen=True, tag="keys"):
    """Locators and digests in some segments of a partition, from a position on."""

    partition: Partition
    segments: list[Segment]
    slot: Slot
    place: Place


class Fetch(QuestionStruct, frozen=True, tag="fetch"):
    """Some keys' digests now, and the records whose digest is still the one given."""

    names: Names


class Compare(QuestionStruct, frozen=True, tag="compare"):
    """What this node says of some spans of a key's dots, in short; see `matching`."""

    locator: Locator
    spans: list[bytes]


class Piece(QuestionStruct, frozen=True, tag="piece"):
    """What this node says of the first dots of a span."""

    locator: Locator
    span: bytes


class Mend(QuestionStruct, frozen=True, tag="mend"):
    """Compare all copies with all other owners, from now on if `starts`: how far is that?"""

    starts: bool


class Listening(QuestionStruct, frozen=True, tag="listening"):
    """Which channels or patterns are listened to, or how many listen to each of `names`."""

    kind: Annotated[int, Meta(ge=0, le=2)]
    pattern: bytes
    names: list[bytes] | None = None


class Held(QuestionStruct, frozen=True, tag="held"):
    """What a node holds of a key: whether that is more than a part (it is an owner, or keeps the
    whole key for one), the record, and what it knows to be cleared of the key's database."""

    locator: Locator


class ClearHint(QuestionStruct, frozen=True, tag="clearhint"):
    """Keep cleared contexts for an owner that is missing: as in `Clear`."""

    stores: ClassVar[bool] = True
    owner: NodeId
    entries: Entries


class Deliver(QuestionStruct, frozen=True, tag="deliver"):
    """Hints for the receiver: name, since when they were kept (ms since 1970), content.

    Answered once they are as durable as the policy promises.
    """

    stores: ClassVar[bool] = True
    entries: list[tuple[bytes, Natural, bytes]]


class HintSerial(QuestionStruct, frozen=True, tag="hintserial"):
    """The number of the last write that was kept as a hint."""


class HintsUpto(QuestionStruct, frozen=True, tag="hintsupto"):
    """How many hints have something that was kept up to this number."""

    serial: Natural


class Vow(QuestionStruct, frozen=True, tag="vow"):
    """Promise numbers, as in `Promise`, of partitions that the receiver need not own.

    Answered, once that is durable, with the highest number promised of each; 0: none is.
    """

    stores: ClassVar[bool] = True
    version: Natural
    numbers: list[tuple[Partition, Natural]]      # partition, number


class Remnants(QuestionStruct, frozen=True, tag="remnants"):
    """Can nothing older of these partitions come from the receiver any more? One word for each:
    it keeps no hint and no copy that it does not own, nor did while a message may be under way."""

    version: Natural
    partitions: list[Partition]


class Promise(QuestionStruct, frozen=True, tag="promise"):
    """May these be forgotten under a number? Locators with the digests of what should be there."""

    stores: ClassVar[bool] = True
    partition: Partition
    version: Natural  # of the ring by which the sender is an owner
    number: Natural
    names: Names


class Drop(QuestionStruct, frozen=True, tag="drop"):
    """All owners have promised the number: forget those that are still the same."""

    partition: Partition
    version: Natural
    number: Natural
    names: Names
    is_early: bool = False      # before the grace was over


class Same(QuestionStruct, frozen=True, tag="same"):
    """Are these still what is there, and long expired?"""

    partition: Partition
    version: Natural
    names: Names


class Digests(QuestionStruct, frozen=True, tag="digests"):
    """The digests of some keys' states; empty for a key that is not there."""

    locators: list[Locator]


class Pull(QuestionStruct, frozen=True, tag="pull"):
    """All records of some partitions (sorted), in the order of slots, from a position on."""

    partitions: list[Partition]
    slot: Slot
    place: Place


class Offer(QuestionStruct, frozen=True, tag="offer"):
    """Names and digests of what the sender will drop, to an owner: which does it hold not so?"""

    to: NodeId
    partition: Partition
    entries: Names


class Give(QuestionStruct, frozen=True, tag="give"):
    """Records to be joined by an owner; answered when they are as durable as its policy says."""

    stores: ClassVar[bool] = True
    to: NodeId
    partition: Partition
    records: Names


class Sizes(QuestionStruct, frozen=True, tag="sizes"):
    """How much a node holds of each partition: (partition, records, about how many bytes)."""


class Texts(QuestionStruct, frozen=True, tag="texts"):
    """The texts of scripts with these hashes; empty for one that is not known."""

    hashes: list[str]


class KillScript(QuestionStruct, frozen=True, tag="killscript"):
    """End what has run for the longest time, a script or a function.

    The answer: 0 if nothing runs, 1 if it is ended, 2 if it is of the other kind and goes on.
    """

    is_function: bool = False


class Ran(QuestionStruct, frozen=True, tag="ran"):
    """What runs for the longest time: its name, its command and the milliseconds; or nothing."""


class Received(QuestionStruct, frozen=True, tag="heard"):
    """All that this node stated before this: is it received, and stored?"""

    stores: ClassVar[bool] = True


Question = (
    Scan | Count | Tops | Clear | Explain | Status | Roots | Segments | Keys | Fetch
    | Listening | Held | ClearHint | Deliver | HintSerial | HintsUpto | Mend
    | Promise | Vow | Remnants | Drop | Same | Digests | Pull | Offer | Give | Sizes
    | Texts | KillScript | Ran | Received
    | Compare | Piece
)


_decoder: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(Question))


def read_question(body: bytes, partitions: int) -> Question | None:
    """A peer's question, with all that it names within bounds. Raises `PeerError`.

    None for one of a kind that is unknown here: the peer's version is newer.
    """
    try:
        if _kind_of(body) not in _KINDS:
            return None
        question = _decoder.decode(body)
        _check_locators(_locators_in(question))
        named = list(_partitions_in(question))
        for tops in tops_in(question):
            check_tops(tops)
        if isinstance(question, Clear | ClearHint):
            named += [partition for _, partition, _ in question.entries]
        elif isinstance(question, Deliver):
            named += [_cleared_by(name, hint) for name, _, hint in question.entries
                      if name[:1] == CLEARING]
    except (msgspec.MsgspecError, RecursionError, ValueError) as wrong:
        raise PeerError(f"a malformed question: {wrong}") from wrong
    if any(partition >= partitions for partition in named):
        raise PeerError("a question about a partition that does not exist")
    return question


def _kind_of(body: bytes) -> str:
    """The word that a question begins with. Raises `ValueError` where there is none."""
    words = msgspec.msgpack.decode(body, type=list[msgspec.Raw])
    if not words:
        raise ValueError("it has no kind")
    return msgspec.msgpack.decode(words[0], type=str)


def _partitions_in(question: Question) -> Iterable[int]:
    if isinstance(question, Segments | Keys | Promise | Drop | Same | Offer | Give):
        return (question.partition,)
    if isinstance(question, Tops | Roots | Remnants | Pull):
        return question.partitions
    if isinstance(question, Vow):
        return (partition for partition, _ in question.numbers)
    return ()


def tops_in(question: Question | None) -> Iterable[Highest]:
    """The cleared contexts in a question."""
    if isinstance(question, Clear | ClearHint):
        return (tops for _, _, tops in question.entries)
    if isinstance(question, Deliver):
        return (decode_tops(hint) for name, _, hint in question.entries if name[:1] == CLEARING)
    return ()


def returns_tops(question: Question) -> bool:
    """Whether its answer may have cleared contexts in it."""
    return isinstance(question, Tops | Held | Segments | Pull)


def tops_in_answer(answer: object, depth: int = 3) -> Iterator[Highest]:
    """The cleared contexts in a peer's answer, as it came. Raises `ValueError`."""
    if isinstance(answer, dict):
        tops = msgspec.convert(answer, Highest)
        check_tops(tops)
        yield tops
    elif isinstance(answer, list) and depth:
        for part in answer:
            if isinstance(part, dict | list):
                yield from tops_in_answer(part, depth - 1)


def _locators_in(question: Question) -> Iterable[bytes]:
    if isinstance(question, Explain | Held | Compare | Piece):
        return (question.locator,)
    if isinstance(question, Digests):
        return question.locators
    if isinstance(question, Fetch | Promise | Drop | Same):
        return (name for name, _ in question.names)
    if isinstance(question, Offer):
        return (name for name, _ in question.entries)
    if isinstance(question, Give):
        return (name for name, _ in question.records)
    if isinstance(question, Deliver):
        return (name for name, _, _ in question.entries if name[:1] != CLEARING)
    return ()


def _cleared_by(name: bytes, hint: bytes) -> int:
    """The partition of a hint that is a cleared context."""
    if len(name) != 4 or name[1] >= DATABASES or len(hint) % 24:
        raise ValueError("a cleared context that cannot be")
    return name[2] << 8 | name[3]


def _check_locators(names: Iterable[bytes]) -> None:
    for name in names:
        if not is_locator(name):
            raise ValueError("a locator that cannot be")


# ---- answers, where they are more than a value ----


class Leaves(msgspec.Struct, array_like=True):
    """The answer to `Segments`."""

    leaves: bytes
    cleared: list[tuple[Db, Highest]]


class Page(msgspec.Struct, array_like=True):
    """The answer to `Keys`; it goes on from a position."""

    entries: Sequence[tuple[bytes, bytes]]      # locators, which are to be checked, and digests
    slot: Slot
    place: Place


class Compared(msgspec.Struct, array_like=True):
    """The answer to `Compare`."""

    digest: bytes
    rows: bytes         # of the record
    sums: list[tuple[bytes, Natural]]       # of each span: a digest, and how many dots live


class Pieced(msgspec.Struct, array_like=True):
    """The answer to `Piece`."""

    covered: bytes      # the rows that it is about
    record: bytes       # b"" for nothing


class Mending(msgspec.Struct, array_like=True):
    """The answer to `Mend`."""

    left: Natural       # comparisons that were not clean since the repair began
    repaired: Natural   # keys that this node has repaired since, here or at others


class Promised(msgspec.Struct, array_like=True):
    """The answer to `Promise`. Number 0: nothing is promised, `same` is empty."""

    number: Natural
    same: list[bool]


class Records(msgspec.Struct, array_like=True):
    """The answer to `Pull`; it goes on from a position, slot `SLOTS` is the end."""

    records: Names
    cleared: Entries          # database, partition, tops
    slot: Slot
    place: Place


def check_answer(answer: object) -> None:
    """Raises `ValueError` if a peer's answer names what cannot be."""
    if isinstance(answer, Leaves):
        for _, tops in answer.cleared:
            check_tops(tops)
    elif isinstance(answer, Page):
        _check_locators(name for name, _ in answer.entries)
    elif isinstance(answer, Records):
        _check_locators(name for name, _ in answer.records)
        for _, _, tops in answer.cleared:
            check_tops(tops)


# ---- what a task may request beside a question ----


class Pause(msgspec.Struct, frozen=True):
    """Alone in a step: go on after so long. There is no answer."""

    ms: int


class Run(msgspec.Struct, frozen=True):
    """A command on one key to be run on the task's terms; the answer is its reply."""

    argv: list[bytes]
    db: int
