"""Replicas and clients around one key that is a collection, kept twice: as records and as cells.

The second account holds the dots one by one: all that a replica was sent, and what is alive with
its payload. A command names the dots that it makes void, one by one, by a rule of its own: those of
the elements that it touches, or everything where the key was absent or is so afterwards. Contexts,
claims and forms do not appear in it, so it cannot share a mistake of theirs.

Faults: deltas that are lost, late, repeated and reordered; coordinators that lose the tail of their
disk and go on with a raised floor; one that takes another's copy; a fallback that has no state and
claims nothing but its own dots.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from respdyn.causal import codec
from respdyn.causal.dot import Stamp, intern_actor
from respdyn.errors import ReplyError
from respdyn.types import hashes, sets, sorted_sets, strings, values
from respdyn.types.long_double import UNIT
from respdyn.types.view import Draft

NAMES = (b"one", b"two", b"")
TEXTS = (b"10", b"-3", b"word")
AMOUNTS = (1, 5, -1, 0)
SCORES = (10.0, -3.5, 0.1)
INCREMENTS = (1.0, 0.1, -2.5, 0.0)
KINDS = {
    b"f": (values.HASH, hashes.FIELDS), b"m": (values.SET, sets.MEMBERS),
    b"z": (values.SORTED_SET, sorted_sets.SCORES),
}

Cell = tuple[bytes, bytes]          # element, dot


class Held(NamedTuple):
    """A state or a delta in both accounts."""

    record: bytes
    seen: frozenset[bytes]
    live: dict[Cell, bytes]


EMPTY = Held(b"", frozenset(), {})


@dataclass
class Replica:
    """One that coordinates: what it holds, what its disk holds, what it may claim."""

    counter: int = 0
    floor: int = 0
    held: Held = EMPTY
    disk: Held = EMPTY


@dataclass
class CollectionWorld:
    """Three owners and a fallback; `schedule` decides what happens."""

    schedule: bytes
    replicas: list[Replica] = field(default_factory=lambda: [Replica() for _ in range(4)])
    flying: list[tuple[int, Held]] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    at: int = 0
    clashes: int = 0
    is_claiming: bool = True        # False: `(0, n]`, which is wrong

    def pick(self, count: int) -> int:
        """The next choice of the schedule."""
        byte = self.schedule[self.at] if self.at < len(self.schedule) else 0
        self.at += 1
        return byte % count

    def run(self) -> None:
        """The schedule, compared after every step; then everything meets."""
        while self.at < len(self.schedule):
            self.step()
        end = EMPTY
        for replica in self.replicas:
            end = self.joined(end, replica.held)
        for to, message in self.flying:
            self.joined(self.replicas[to].held, message)
        for replica in reversed(self.replicas):
            assert self.joined(replica.held, end).record == end.record

    def step(self) -> None:
        """One thing happens."""
        choice, who = self.pick(100), self.pick(4)
        replica = self.replicas[who]
        if choice < 58:
            self.write(who)
        elif choice < 78 and self.flying:
            place = self.pick(len(self.flying))
            to, message = self.flying[place] if choice < 62 else self.flying.pop(place)
            self.replicas[to].held = self.joined(self.replicas[to].held, message)
        elif choice < 86:
            other = self.replicas[self.pick(3)]
            other.held = self.joined(other.held, replica.held)
        elif choice < 92:
            replica.disk = replica.held
        elif choice < 97:
            replica.held = replica.disk if who < 3 else EMPTY
            replica.counter += 10
            replica.floor = replica.counter
        elif who < 3:
            replica.held = replica.disk = self.replicas[self.pick(3)].disk
            replica.floor = replica.counter

    def joined(self, a: Held, b: Held) -> Held:
        """The join in both accounts, which must agree."""
        record = codec.join_records(a.record, b.record)
        live = {
            cell: a.live.get(cell, b.live.get(cell, b"")) for cell in {*a.live, *b.live}
            if (cell in a.live or cell[1] not in a.seen)
            and (cell in b.live or cell[1] not in b.seen)
        }
        held = Held(record, a.seen | b.seen, live)
        self.compare(held)
        return held

    def compare(self, held: Held) -> None:
        """What is alive is the same, and the bytes are canonical."""
        record = held.record
        found = {(element, dot): payload for element, dot, payload in codec.entries_of(record)}
        assert found == held.live
        if record:
            codec.verify(record)
            self.records.append(record)
            edges = codec.edges_of(codec.rows_of(record))
            assert all(codec.covers(edges, dot) for dot in held.seen)
        kinds = values.kinds_in(record)
        self.clashes += len(kinds) > 1
        assert bool(kinds) == codec.is_live(record)

    # Writes

    def write(self, who: int) -> None:
        """A client's command; what it ships goes to others, at once, late or never."""
        replica = self.replicas[who]
        held = replica.held if who < 3 else EMPTY
        stamp = self.stamp(who, replica)
        choice = self.pick(14)
        touched: frozenset[bytes] = frozenset()     # elements
        if choice == 0:
            delta, is_whole = values.remove(held.record, stamp), True
        elif choice == 1:
            delta, is_whole = strings.assign(held.record, stamp, b"text", 0), True
        elif choice == 2:
            delta, is_whole = values.expire(held.record, stamp, (0, 50)[self.pick(2)]), False
            touched = frozenset(
                element for element, _, _ in codec.entries_of(delta) if element[:1] == b"x"
            )
        else:
            delta, is_whole, touched = self.change(held, stamp, choice)
        if not delta:
            return
        self.ship(who, held, self.account(held, delta, is_whole, touched))
        replica.counter = max(replica.counter, codec.context_of(delta).top(stamp[0]))

    def change(
        self, held: Held, stamp: Stamp, choice: int
    ) -> tuple[bytes, bool, frozenset[bytes]]:
        """A command on elements: delta, whether it covers everything, elements that it touches."""
        letter = (b"f", b"f", b"m", b"z")[self.pick(4)]
        kind, elements = KINDS[letter]
        exists = values.exists(held.record, 0)
        draft = Draft(
            held.record, 0, elements, lambda rec, now: values.is_kind(rec, kind, now), stamp
        )
        name = NAMES[self.pick(3)]
        try:
            draft.open()
        except ReplyError:
            return b"", False, frozenset()
        if letter == b"m":
            (sets.add if choice < 10 else sets.remove)(draft, name)
        elif letter == b"z" and choice < 6:
            sorted_sets.put(draft, name, SCORES[self.pick(3)])
        elif letter == b"z" and choice < 10:
            sorted_sets.add(draft, name, INCREMENTS[self.pick(4)])
        elif letter == b"z":
            sorted_sets.remove(draft, name)
        elif choice < 6:
            hashes.put(draft, name, TEXTS[self.pick(3)])
        elif choice < 10:
            hashes.add(draft, name, AMOUNTS[self.pick(4)] * UNIT)
        elif choice < 12 or hashes.value(draft, name) is None:
            hashes.remove(draft, name)
        else:
            hashes.expire(draft, name, (0, 50, 90)[self.pick(3)])
        delta = draft.delta()
        if not delta:
            return b"", False, frozenset()
        is_whole = not exists or draft.is_empty()
        if choice >= 12 and letter == b"f" and not is_whole:
            return delta, False, frozenset(
                element for element, _, _ in codec.entries_of(delta) if element[:1] == b"t"
            )
        is_counting = letter in b"fz" and 6 <= choice < 10
        return delta, is_whole, frozenset() if is_counting else frozenset([letter + name])

    def account(
        self, held: Held, delta: bytes, is_whole: bool, touched: frozenset[bytes]
    ) -> Held:
        """The second account of a delta."""
        made = {(element, dot): payload for element, dot, payload in codec.entries_of(delta)}
        fresh = {cell: payload for cell, payload in made.items() if cell not in held.live}
        dots = frozenset(dot for _, dot in fresh)
        assert len(dots) == len({cell for cell in fresh if cell[0][:1] not in b"br"}) or is_whole
        if is_whole:
            seen = held.seen | frozenset(dot for _, dot in held.live)
            kept = {cell: payload for cell, payload in made.items() if cell in held.live}
            assert all(cell[0][:1] in (b"x", b"t") for cell in kept)
            assert all(cell[0][-24:] not in held.seen for cell in kept)
            return Held(delta, seen | dots, {**fresh, **kept})
        assert fresh == made, "a delta carries on nothing"
        void = set()
        for (element, dot), payload in held.live.items():
            is_remark = element[:1] == b"t" and element[1:-24] in touched
            if element in touched or (is_remark and self.is_on(held, element)):
                void.add(dot)
            for (other, _), written in fresh.items():
                if other == element and payload[8:33] == written[8:33] and written[8:9] == b"c":
                    void.add(dot)       # a run goes on
        return Held(delta, frozenset(void) | dots, fresh)

    @staticmethod
    def is_on(held: Held, remark: bytes) -> bool:
        """Whether a remark on a field is on something that is alive in it."""
        return any(
            element == remark[1:-24] and remark[-24:] in (dot, payload[9:33])
            for (element, dot), payload in held.live.items()
        )

    def ship(self, who: int, held: Held, message: Held) -> None:
        """Joined here; then to others."""
        self.compare(message._replace(record=message.record))
        if who < 3:
            self.replicas[who].held = self.joined(held, message)
        for _ in range(self.pick(3)):
            self.flying.append((self.pick(3), message))

    def stamp(self, who: int, replica: Replica) -> Stamp:
        """The counter serves other keys as well, so it skips some. The fallback claims nothing."""
        replica.counter += 1 + self.pick(2)
        floor = replica.counter if who == 3 else replica.floor if self.is_claiming else 0
        return intern_actor(b"CABF"[who : who + 1] * 16), replica.counter, floor, 1 + self.pick(40)
