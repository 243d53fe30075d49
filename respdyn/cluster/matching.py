"""Making two copies of a big key equal, a stretch of dots at a time.

A key of a million elements is neither compared nor sent as one. What two copies say of a *span*,
some stretch of dots, is compared by a short digest: the dots that were seen, how many of them live,
and the XOR of their marks. Spans that differ are cut finer. Where one has become small each side
gives the other what it says of it, which is a record by itself (`causal.parts`), so each piece is
joined as any record is and nothing has to be remembered between two pieces: a session may end
anywhere, and writes go on meanwhile at both ends.

Every question and answer is bounded: `SPANS` spans, or a piece of `PIECE_CELLS` cells and
`PIECE_BYTES` bytes, unless a single cell has more.

Source: decision 0051. Cutting where digests differ is range-based set reconciliation (Meyer, 2023),
by dot instead of by element, so that removals are found as well.
"""

from collections.abc import Callable, Generator
from typing import Final

from respdyn.causal import parts
from respdyn.causal.codec import digest, rows_of
from respdyn.causal.parts import cut_rows, restricted
from respdyn.causal.rows import edges_of, minus_rows, unite_rows
from respdyn.cluster.admission import EXCHANGE, cost
from respdyn.cluster.messages import pair
from respdyn.cluster.questions import Compare, Compared, Pause, Piece, Pieced
from respdyn.cluster.replica import Replica
from respdyn.cluster.tasks import Answer, Request, Task, TaskRunner, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import DamagedError
from respdyn.ring.hashing import Locator

SPANS: Final = 64               # compared by one question
FINER: Final = 16               # of which a span that differs is cut
FEW: Final = 400                # live dots on both sides, of a span that is given and not cut
PIECE_CELLS: Final = 500
PIECE_BYTES: Final = 64 << 10

FOLLOWED: Final = 16            # times that what the peer has seen meanwhile is taken as well
KEYS_MAX: Final = 64            # for whose readers copies are made equal at a time

Done = Callable[[bool], None]
Matching = Generator[list[Request], list[Answer], bool]


def answer(replica: Replica, ask: Compare | Piece) -> Answer:
    """This node's answer to another that compares. Spans that cannot be are answered with none."""
    record = replica.get(ask.locator)
    try:
        if isinstance(ask, Piece):
            edges_of(ask.span)
            covered, piece = parts.piece_of(record, ask.span, PIECE_CELLS, PIECE_BYTES)
            return Pieced(covered, piece)
        for span in ask.spans[:SPANS]:
            edges_of(span)
    except DamagedError:
        return None
    sums = [parts.sum_of(record, span) for span in ask.spans[:SPANS]]
    return Compared(digest(record), rows_of(record), sums)


def match(
    node: ThisNode, peer: str, locator: Locator, work: int, is_hasty: bool = False
) -> Matching:
    """Make this copy and a peer's equal; True when all that differed at the beginning was given.

    `work`: for what `admission` gives room between two pieces, unless a client waits.
    """
    admission = node.admission
    (raw,) = yield [(peer, Compare(locator, []))]
    reported = answer_as(Compared, raw)
    record = node.replica.get(locator)
    if reported is None or not _is_sound(reported.rows):
        return False
    if digest(record) == reported.digest:
        return True
    seen = unite_rows(rows_of(record), reported.rows)
    left = cut_rows(seen, SPANS)
    while left:
        some, left = left[:SPANS], left[SPANS:]
        while not is_hasty and not admission.room(work):
            yield [Pause(max(1, admission.ready_ms(work) - node.now.now_ms))]
        (raw,) = yield [(peer, Compare(locator, some))]
        reported = answer_as(Compared, raw)
        if reported is None or len(reported.sums) != len(some):
            return False
        record = node.replica.get(locator)
        admission.spend(work, cost(len(some), 32 * len(some)))
        finer: list[bytes] = []
        for span, (theirs, count) in zip(some, reported.sums, strict=True):
            ours, mine = parts.sum_of(record, span)
            if ours == theirs:
                continue
            if mine + count > FEW:
                finer += cut_rows(span, FINER)
            elif not (yield from _trade(node, peer, locator, span, work)):
                return False
        left = finer + left
    return (yield from _follow(node, peer, locator, seen, work))


def _follow(
    node: ThisNode, peer: str, locator: Locator, seen: bytes, work: int
) -> Matching:
    """Take what the peer has seen since: what has moved to a dot beyond those compared is gone from
    them, and would be gone here until it comes by itself.
    """
    for _ in range(FOLLOWED):
        (raw,) = yield [(peer, Compare(locator, []))]
        reported = answer_as(Compared, raw)
        if reported is None or not _is_sound(reported.rows):
            return False
        seen = unite_rows(seen, rows_of(node.replica.get(locator)))
        fresh = minus_rows(reported.rows, seen)
        if not fresh:
            break
        if not (yield from _trade(node, peer, locator, fresh, work)):
            return False
        seen = unite_rows(seen, fresh)
    return True


def _trade(
    node: ThisNode, peer: str, locator: Locator, span: bytes, work: int
) -> Matching:
    """Take what the peer says of a span, and give it what is known then, if that is more."""
    replica, link = node.replica, node.link_to(peer)
    while span:
        (raw,) = yield [(peer, Piece(locator, span))]
        reported = answer_as(Pieced, raw)
        if reported is None or not reported.covered or not _is_sound(reported.covered):
            return False
        rest = minus_rows(span, reported.covered)
        if rest == span or node.store_failure:
            return False
        joined = replica.get(locator)
        if reported.record:
            try:
                replica.check(reported.record)
            except DamagedError:
                return False
            joined = replica.receive(locator, reported.record)
        ours = restricted(joined, reported.covered) if joined else b""
        if rows_of(ours) and ours != reported.record and link.is_connected and link.can_store:
            link.stores.append(pair(locator, ours))
            node.admission.spend(work, cost(1, len(ours)))
        node.admission.spend(work, cost(1, len(reported.record)))
        node.counters.pieces_matched += 1
        span = rest
    return True


def _is_sound(rows: bytes) -> bool:
    try:
        edges_of(rows)
    except DamagedError:
        return False
    return True


class Matches:
    """Makes copies of big keys equal for readers who wait; one such task for a key at a time.

    Who comes while one runs waits for the next: what its peers hold has to be seen after it came.
    """

    def __init__(self, node: ThisNode, runner: TaskRunner) -> None:
        self._node = node
        self._runner = runner
        self._waiting: dict[Locator, list[tuple[list[str], Done]]] = {}

    def begin(self, peers: list[str], locator: Locator, done: Done) -> None:
        """Make our copy and those of some peers equal; `done` gets whether they are."""
        waiting = self._waiting.get(locator)
        if waiting is not None:
            waiting.append((peers, done))
        elif len(self._waiting) >= KEYS_MAX:
            self._node.counters.big_reads_refused += 1
            done(False)
        else:
            self._waiting[locator] = []
            self._start(locator, [(peers, done)])

    def _start(self, locator: Locator, those: list[tuple[list[str], Done]]) -> None:
        peers = dict.fromkeys(peer for some, _ in those for peer in some)

        def ended(reply: bytes) -> None:
            for _, done in those:
                done(bool(reply))
            waiting = self._waiting[locator]
            if waiting:
                self._waiting[locator] = []
                self._start(locator, waiting)
            else:
                del self._waiting[locator]

        timeout_ms = self._node.settings.request_timeout_ms
        self._runner.start(self._all(list(peers), locator), timeout_ms, ended)

    def _all(self, peers: list[str], locator: Locator) -> Task:
        yield [Pause(0)]        # by then the waiter has a place, and no answer yet
        for peer in peers:
            if not (yield from match(self._node, peer, locator, EXCHANGE, is_hasty=True)):
                return b""
        return b"equal"
