"""One peer as this node sees it: what goes out in the next frame, and what is not yet answered.

A link has two connections, one for each direction; the node is informed of its own outgoing
one (`connect`, `disconnect`). Frames are numbered within an *epoch*, one life of the outgoing
connection, whose number is drawn at random. Everything that was in flight when either connection
goes is lost or unknown, and nothing is sent twice: the peer may have said "I hold something else"
on the connection that broke, and a later acknowledgement on the new one would sound like "the same
here". So a new epoch of the peer voids all requests to it from before.

`is_up` is the verdict of the failure detector and demands more than a connection: a round trip in
this epoch. Only peers that are up get requests.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from respdyn.cluster.backlog import Backlog
from respdyn.cluster.messages import (
    EARLY,
    EARLY_PAIR,
    FIRST_STATEMENTS,
    FLAG_HURRY,
    HEADER,
    PROTOCOL_VERSION,
    encode_numbers,
    pair,
)
from respdyn.cluster.quorum import ReadRound, WriteRound
from respdyn.cluster.statements import State
from respdyn.cluster.timeouts import MOVING_TIMES, NEVER, Deadlines
from respdyn.ports import BULK_BYTES
from respdyn.ring.ring import Member

# How long a forwarded command may take to its coordinator before it is not begun there: four round
# trips, and at least this. A read that was lost with its node is run elsewhere after that time.
SHORTEST_WINDOW_MS: Final = 250
UNKNOWN_MS: Final = 1 << 40

# How long an acknowledgement that no peer waits for may wait for a frame to ride in.
LAZY_MS: Final = 5

# Frames with nothing but writes that no client waits for leave at most this often.
GATHER_MS: Final = 2

# A command behind `BULK_BYTES` or more may be begun later, by what those take at 2 MB a second.
SLOWEST_BYTES_MS: Final = 2048
WORKED_BYTES_MS: Final = 16_384     # and a busy machine works at 16 MB a second
ARRIVALS_MOST: Final = 256

# Sent to a peer and not taken yet: then it is behind, and who writes much waits.
UNTAKEN_BYTES: Final = 32 << 20

# A reply, and the commands in a row that have it.
Answers = tuple[bytes, list[int]]

# A frame's operations, to find the one that a `differ` entry speaks of.
SentWrites = list[tuple[WriteRound, int]]
SentReads = list[tuple[ReadRound, int]]


Round = TypeVar("Round", WriteRound, ReadRound)


class Flight:
    """A frame that is not yet fully acknowledged."""

    __slots__ = (
        "arrived_ms", "end", "number", "read_rounds", "reads", "sent_ms", "size", "write_rounds",
        "writes",
    )

    def __init__(
        self, number: int, sent_ms: int, write_rounds: list[WriteRound], writes: SentWrites,
        read_rounds: list[ReadRound], reads: SentReads,
    ) -> None:
        self.number = number
        self.sent_ms = sent_ms
        self.arrived_ms = 0             # there, if that took its time
        self.size = self.end = 0        # bytes, and those of the connection up to its end
        self.write_rounds = write_rounds
        self.writes = writes
        self.read_rounds = read_rounds
        self.reads = reads


class Link:
    """This node's dealings with one peer."""

    def __init__(self, peer: str, untaken_bytes: int = UNTAKEN_BYTES) -> None:
        self.peer = peer
        self.member: Member | None = None
        self.is_member = False            # by the ring here; others may greet, and nothing else
        self.open_statements = FIRST_STATEMENTS     # what it may send while it is none
        self.is_connected = False
        self.is_up = False
        self.can_store = True             # False while the peer's disk fails, by its own word
        self.declines_coordination = False      # by its own word: overloaded, or its clock is off
        self.is_congested = False         # True while too much waits there, by its own word
        self.deprioritized = ""                  # why others are preferred while they are in reach
        self.is_leaving = False           # it is about to stop, by its own word
        self.has_room = True              # False while it keeps as many hints as it may
        self.changed_ms = 0               # when `is_up` last changed
        self.working = 0                  # commands that it forwarded and that wait here
        # Keys of which one of them was refused, not begun, and the number of the frame that says
        # so: what the peer has sent of such a key before it received that is refused as well.
        self.refused: dict[bytes, int] = {}
        # What the peer has sent of itself on the connection that stands, and which partitions it
        # has lost. None: nothing yet, so it is no reader of anything.
        self.state: State | None = None
        self.is_behind = True             # it may go by an older ring than this node
        self.unfilled: frozenset[int] | None = None
        # Of the peer's data, see `lives`: its actor and the mark on its disk, as it sent on this
        # connection, and the mark that proves that it went back, 0 for none.
        self.life = b""
        self.run = 0
        self.mark = 0
        self.is_past = 0
        self.has_answered = False         # it has said what it remembers of this node
        self.sees: frozenset[str] | None = None   # the members that it reached then
        self.epoch = 0
        self.number = 0                   # of the last frame with content
        self.applied = 0                  # the peer's acknowledgements of our frames
        self.durable = 0
        self.received_ms = 0                 # when the peer last acknowledged something new
        self.round_trip_ms = 0.0          # smoothed
        self.window_ms = SHORTEST_WINDOW_MS   # for how long a forwarded command may be begun
        self.unapplied: deque[Flight] = deque()
        self.untaken = Backlog(untaken_bytes)   # the bytes of these
        self.sealed = self.arrived = 0    # bytes of this connection, and of them at the peer
        self.moved_ms = 0                 # when some of many bytes last arrived there
        self.coming_ms = 0                # when the last part of an unfinished frame of its came
        self.unacknowledged_ms = 0        # for so long its machine has acknowledged none of them
        self.bulk_ms = -UNKNOWN_MS        # when there was a great frame, here or there, last
        # Of frames that took their time on the way and were applied: when they had arrived.
        self.arrivals: deque[tuple[int, int]] = deque(maxlen=ARRIVALS_MOST)
        self.undurable: deque[Flight] = deque()

        self.peer_epoch = 0               # of the peer's connection to us
        self.peer_epoch_ms = 0            # when that began here
        self.peer_now_ms = 0              # its monotonic time, as it last sent
        self.clock_base: int | None = None    # its wall clock less that, as it last sent
        self.clock_believed = 0               # and the time that it goes by less that
        self.is_timed = False                 # the last judgement has counted it (`clock_watch`)
        self.mono_gap = 0                 # our monotonic time less its, about
        self.mono_error = UNKNOWN_MS      # and by how much that may be wrong
        self.old_epochs: deque[int] = deque(maxlen=16)
        self.strays = 0                   # frames of these since the last of `peer_epoch`
        self.peer_number = 0              # the last of its frames that took effect
        self.speak_by_ms = NEVER          # when a frame must leave even if it has nothing to say
        self.spoke_ms = 0                 # when the last frame with content left
        self.is_touched = False           # a frame of the peer took effect this turn
        self.has_stored = False           # and had something to store
        self.durable_number = 0           # the last of its frames that is durable here
        self.undurable_here: deque[tuple[int, int]] = deque()   # (generation, its number)
        self.gossips: list[bytes] = []
        self._clear()

    def _clear(self) -> None:
        """An empty outbox, but for statements."""
        self.verifies: list[bytes] = []
        self.feedbacks: list[bytes] = []
        # Of entries that are heads of pairs: the head and the large record, by the head's identity.
        self.bodies: dict[int, tuple[bytes, bytes]] = {}
        self.stores: list[bytes] = []
        self.differs: list[bytes] = []
        self.forwards: list[bytes] = []
        self.forward_count = 0
        self.forward_items = 0
        self.forward_bytes = 0
        self.answers: list[Answers] = []
        self.requests: list[bytes] = []
        self.responses: list[bytes] = []
        self.write_rounds: list[WriteRound] = []
        self.writes: SentWrites = []
        self.read_rounds: list[ReadRound] = []
        self.reads: SentReads = []
        self.wants_beat = False

    def connect(self, epoch: int) -> None:
        """The outgoing connection stands; a heartbeat will prove the way back."""
        self._clear()
        self.gossips.clear()
        self.is_connected = True
        self.epoch = epoch
        self.number = self.applied = self.durable = 0
        self.sealed = self.arrived = self.unacknowledged_ms = 0
        self.arrivals.clear()
        self.refused.clear()
        self.wants_beat = True
        self.speak_by_ms = 0

    def start_peer_epoch(self, epoch: int, now_ms: int) -> None:
        """The peer's connection to us is a new one."""
        if self.peer_epoch:
            self.old_epochs.append(self.peer_epoch)
        self.peer_epoch = epoch
        self.peer_epoch_ms = now_ms
        self.state = self.unfilled = None
        self.is_behind = True
        self.has_answered = False
        self.sees = None
        self.peer_number = self.durable_number = 0
        self.clock_base = None
        self.is_timed = False
        self.mono_error = UNKNOWN_MS
        self.wants_beat = True      # what was sent before counts no more: prove the way anew
        self.undurable_here.clear()
        self.differs.clear()
        self.answers.clear()
        self.responses.clear()

    def compare_clocks(self, now_ms: int, peer_now_ms: int, echo_ms: int) -> None:
        """A frame was sent at the peer's `peer_now_ms`, after it had seen one of ours of `echo_ms`.

        So it was under way for at most the time since then, and the gap between the two monotonic
        clocks lies within that. The narrowest such interval is kept; it widens as clocks drift.
        """
        self.peer_now_ms = peer_now_ms
        error_ms = now_ms - echo_ms
        if error_ms <= self.mono_error:
            self.mono_error = error_ms
            self.mono_gap = now_ms - peer_now_ms - error_ms // 2

    def end_turn(self, generation: int) -> None:
        """The turn's writes are handed to the store; 0: they are as durable as they need be."""
        if self.has_stored and generation:
            self.undurable_here.append((generation, self.peer_number))
        elif self.undurable_here:
            self.undurable_here[-1] = (self.undurable_here[-1][0], self.peer_number)
        else:
            self.durable_number = self.peer_number
        self.is_touched = self.has_stored = False

    def stored(self, generation: int) -> None:
        """Everything up to this generation is on this node's disk."""
        while self.undurable_here and self.undurable_here[0][0] <= generation:
            self.durable_number = self.undurable_here.popleft()[1]
            self.speak_by_ms = 0

    def owe(self, by_ms: int) -> None:
        """Something is to be said that may wait until then for company."""
        if by_ms < self.speak_by_ms:
            self.speak_by_ms = by_ms

    def answer(self, number: int, reply: bytes) -> None:
        """The peer's forwarded command has this reply."""
        answers = self.answers
        if answers and answers[-1][0] == reply:
            answers[-1][1].append(number)
        else:
            answers.append((reply, [number]))

    def lose_writes(self) -> list[WriteRound]:
        """Give up on the writes that the peer has not stored; the rounds that lose an answer."""
        rounds = list(self.write_rounds)
        for flight in self.undurable:
            rounds.extend(flight.write_rounds)
        self.undurable.clear()
        self.feedbacks.clear()
        self.writes = []
        self.write_rounds = []
        return rounds

    def lose(self) -> tuple[list[WriteRound], list[ReadRound]]:
        """Give up on all that waits for this peer, sent or not; the rounds that lose an answer."""
        writes = self.lose_writes()
        reads = list(self.read_rounds)
        for flight in self.unapplied:
            reads.extend(flight.read_rounds)
        self.unapplied.clear()
        self.untaken.clear()
        self._clear()
        return writes, reads

    def disconnect(self) -> None:
        """The outgoing connection is gone; call after `lose`."""
        self.is_connected = False

    # ---- what is on its way ----

    def silent_since_ms(self) -> int | None:
        """Since when the peer owes an answer to a frame and gives no sign of life; None for never.

        One is that it takes more of what waits for it, or that a frame of its own arrives here.
        """
        if not self.unapplied:
            return None
        return max(self.unapplied[0].sent_ms, self.moved_ms, self.coming_ms)

    def moved(self, arrived: int, now_ms: int) -> None:
        """So many bytes of this connection have arrived at the peer's machine by now."""
        before, self.arrived = self.arrived, arrived
        self.moved_ms = self.bulk_ms = now_ms
        for flight in self.unapplied:
            if flight.end > arrived:
                break
            if flight.end > before:
                flight.arrived_ms = now_ms

    def is_coming(self, now_ms: int) -> None:
        """A part of a great frame of the peer's has come, and not its end."""
        self.coming_ms = self.bulk_ms = now_ms

    def work_ms(self) -> int:
        """How much longer the peer may take to answer, for the size of what has arrived there."""
        flight = self.unapplied[0]
        return flight.size // WORKED_BYTES_MS if flight.end <= self.arrived else 0

    def applies(self, number: int) -> Flight | None:
        """The peer has applied our frames up to this one; the newest that was not known of."""
        newest: Flight | None = None
        for flight in self.unapplied:
            if flight.number > number:
                break
            newest = flight
            if flight.arrived_ms:
                self.arrivals.append((flight.number, flight.arrived_ms))
        self.applied = number
        self.untaken.done(number)
        return newest

    def allowance_ms(self, size: int) -> int:
        """How much longer than usual so many bytes, sent now, may be on their way."""
        ahead = self.untaken.bytes + self.forward_bytes + size
        return ahead // SLOWEST_BYTES_MS if ahead > BULK_BYTES else 0

    def moving_ms(self, number: int) -> int:
        """When the last byte arrived that the answer to this frame had to wait for; 0: long ago."""
        flight = find_flight(self.unapplied, number)
        if flight is not None:
            return self._moving_flight_ms(flight)
        return max(self.coming_ms, *(ms for one, ms in self.arrivals if one == number), 0)

    def moving_round_ms(self, one: WriteRound | ReadRound) -> int:
        """As `moving_ms`, of the frame of a round; 0 as well if the peer has answered."""
        for flight in self.undurable if isinstance(one, WriteRound) else self.unapplied:
            rounds = flight.write_rounds if isinstance(one, WriteRound) else flight.read_rounds
            if one in rounds:
                return self._moving_flight_ms(flight) + flight.size // WORKED_BYTES_MS
        return 0

    def _moving_flight_ms(self, flight: Flight) -> int:
        is_there = flight.end <= self.arrived
        return max(flight.arrived_ms if is_there else self.moved_ms, self.coming_ms)

    # ---- the end of the turn ----

    def _is_silent(self) -> bool:
        """Whether the outbox is empty."""
        return not (
            self.wants_beat or self.writes or self.reads or self.verifies or self.feedbacks
            or self.stores or self.differs or self.forwards or self.answers or self.requests
            or self.responses or self.gossips
        )

    def _is_unhurried(self) -> bool:
        """Whether the outbox holds only writes whose answer the client gets without this peer."""
        if (
            self.forwards or self.answers or self.stores or self.verifies or self.wants_beat
            or self.differs or self.requests or self.responses or self.gossips
        ):
            return False
        for write_round in self.write_rounds:
            if not write_round.early or write_round.early == self.peer:
                return False
        return True

    def _with_bodies(self, entries: list[bytes]) -> list[bytes]:
        parts: list[bytes] = []
        for entry in entries:
            parts.append(entry)
            body = self.bodies.get(id(entry))
            if body is not None:
                parts += (body[1], b"\r\n")
        return parts

    def seal(self, now_ms: int, clock: int, flags: int, mark: int) -> list[bytes] | None:
        """This turn's frame, or None when there is nothing to say, or nothing that cannot wait.

        It is in one piece, but for large records, which all links share. The outbox is empty after.
        """
        if not self.is_connected:
            self._clear()      # no peer gets it; requests that wait were ended by `lose`
            self.gossips.clear()
            self.speak_by_ms = NEVER
            return None
        has_content = not self._is_silent()
        if now_ms < self.speak_by_ms:
            if not has_content:
                return None
            if now_ms < self.spoke_ms + GATHER_MS and self._is_unhurried():
                self.speak_by_ms = min(self.speak_by_ms, self.spoke_ms + GATHER_MS)
                return None
        answers = [pair(encode_numbers(numbers), reply) for reply, numbers in self.answers]
        early: dict[bytes, list[bytes]] = {}
        for index, (write_round, place) in enumerate(self.writes):
            if write_round.early == self.peer and write_round.ops:
                early.setdefault(write_round.ops[place][1], []).append(
                    EARLY_PAIR.pack(write_round.numbers[place], index)
                )
        answers += [pair(b"".join(pairs), EARLY + reply) for reply, pairs in early.items()]
        counts = (
            len(self.verifies), len(self.feedbacks), len(self.stores), len(self.differs),
            self.forward_count, len(answers), len(self.requests), len(self.responses),
            len(self.gossips),
        )
        number = 0
        if has_content:
            self.number = number = self.number + 1
            flight = Flight(
                number, now_ms, self.write_rounds, self.writes, self.read_rounds, self.reads
            )
            self.unapplied.append(flight)
            if self.write_rounds:
                self.undurable.append(flight)
            if (
                self.wants_beat or self.read_rounds or self.stores
                or any(not write_round.early for write_round in self.write_rounds)
            ):
                flags |= FLAG_HURRY
        header = HEADER.pack(
            PROTOCOL_VERSION, flags, self.epoch, number, self.peer_epoch, self.peer_number,
            self.durable_number, clock, now_ms, self.peer_now_ms, mark, *counts,
        )
        items = 1 + self.forward_items + counts[6] + counts[7] + counts[8]
        items += 2 * (counts[0] + counts[1] + counts[2] + counts[3] + counts[5])
        feedbacks, stores = self.feedbacks, self.stores
        if self.bodies:
            feedbacks, stores = self._with_bodies(feedbacks), self._with_bodies(stores)
        parts = [
            b"*%d\r\n$%d\r\n%b\r\n" % (items, len(header), header),
            *self.verifies, *feedbacks, *stores, *self.differs, *self.forwards, *answers,
            *self.requests, *self.responses, *self.gossips,
        ]
        self.speak_by_ms = NEVER
        frame = parts if self.bodies else [b"".join(parts)]
        size = sum(map(len, frame))
        self.sealed += size
        if has_content:
            flight.end, flight.size = self.sealed, size
            if flight.size > BULK_BYTES:
                self.bulk_ms = flight.arrived_ms = now_ms
            self.spoke_ms = now_ms
            self.untaken.add(number, size, now_ms)
            self._clear()
            self.gossips.clear()
        return frame


def find_flight(flights: deque[Flight], number: int) -> Flight | None:
    """The frame of this number, if it is still on its way."""
    return next((flight for flight in flights if flight.number == number), None)


def overdue(
    deadlines: Deadlines[Round], links: dict[str, Link], now_ms: int
) -> Iterable[Round]:
    """Rounds whose time is over. Where bytes move that one waits for, it counts from the last."""
    return () if now_ms < deadlines.first_ms else _overdue(deadlines, links, now_ms)


def _overdue(
    deadlines: Deadlines[Round], links: dict[str, Link], now_ms: int
) -> Iterator[Round]:
    for one in deadlines.expired(now_ms):
        moving_ms = max((link.moving_round_ms(one) for link in links.values()), default=0)
        most_ms = one.began_ms + MOVING_TIMES * one.timeout_ms
        one.deadline_ms = max(one.deadline_ms, min(moving_ms, most_ms) + one.timeout_ms)
        if one.deadline_ms > now_ms:
            deadlines.add(one, one.timeout_ms)
        else:
            yield one


def seal_all(
    links: dict[str, Link], now_ms: int, clock: int, flags: int, mark: int
) -> tuple[list[tuple[str, list[bytes]]], int]:
    """The frames that leave in this turn, each with its peer; and when the next must at the latest.

    Arguments as of `Link.seal`.
    """
    frames: list[tuple[str, list[bytes]]] = []
    speak_by_ms = NEVER
    for link in links.values():
        frame = link.seal(now_ms, clock, flags, mark)
        if frame is not None:
            frames.append((link.peer, frame))
        elif link.speak_by_ms < speak_by_ms:
            speak_by_ms = link.speak_by_ms
    return frames, speak_by_ms
