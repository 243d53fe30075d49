"""Replicas and clients around one counter, kept twice: as records and as plain history.

The second account is the list of all increments, strings and resets with the serials that each
replica was sent: a reset names, one by one, the increments that its coordinator had seen. The
number must be the sum of what was seen and not reset, upon the string that wins. Nothing of runs,
baselines or dots appears in it.

Faults: deltas that are lost, late, repeated and reordered; coordinators that lose the tail of their
disk and go on with a raised floor; a fallback that has no state and claims nothing.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from respdyn.causal import codec
from respdyn.causal.dot import Stamp, intern_actor
from respdyn.types import hashes, strings, values
from respdyn.types.long_double import UNIT
from respdyn.types.view import Draft

Serials = frozenset[int]
NOTHING: Serials = frozenset()


class Event(NamedTuple):
    """What a client did: `gone` are the serials of what it reset, `base` the string it set."""

    gone: Serials
    amount: int | None = None
    base: int | None = None
    clock: int = 0
    dot: tuple[bytes, int] = (b"", 0)


class Held(NamedTuple):
    """A state or delta in both accounts."""

    record: bytes
    events: Serials


EMPTY = Held(b"", NOTHING)


@dataclass
class Replica:
    """One that coordinates: what it holds, what its disk holds, what it may claim."""

    counter: int = 0
    floor: int = 0
    held: Held = EMPTY
    disk: Held = EMPTY


@dataclass
class CounterWorld:
    """Three owners and a fallback; `schedule` decides what happens."""

    schedule: bytes
    replicas: list[Replica] = field(default_factory=lambda: [Replica() for _ in range(4)])
    history: dict[int, Event] = field(default_factory=dict)
    flying: list[tuple[int, Held]] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    at: int = 0
    resets: int = 0
    survivors: int = 0      # increments that outlived a concurrent reset

    def pick(self, count: int) -> int:
        """The next choice of the schedule."""
        byte = self.schedule[self.at] if self.at < len(self.schedule) else 0
        self.at += 1
        return byte % count

    def run(self) -> None:
        """The schedule, compared after every step; then everything meets."""
        while self.at < len(self.schedule):
            self.step()
            for replica in self.replicas:
                self.compare(replica.held)
        end = EMPTY
        for replica in self.replicas:
            end = self.joined(end, replica.held)
        for replica in reversed(self.replicas):
            assert self.joined(replica.held, end).record == end.record
        self.compare(end)

    def step(self) -> None:
        """One thing happens."""
        choice, who = self.pick(100), self.pick(4)
        replica = self.replicas[who]
        if choice < 55:
            self.write(who, choice)
        elif choice < 75 and self.flying:
            place = self.pick(len(self.flying))
            to, message = self.flying[place] if choice < 60 else self.flying.pop(place)
            self.replicas[to].held = self.joined(self.replicas[to].held, message)
        elif choice < 87:
            other = self.replicas[self.pick(4)]
            other.held = self.joined(other.held, replica.held)
        elif choice < 93:
            replica.disk = replica.held
        else:
            replica.held = replica.disk if who < 3 else EMPTY
            replica.counter += 10
            replica.floor = replica.counter

    def write(self, who: int, choice: int) -> None:
        """An increment, a SET or a DEL. Every delta goes to another replica, at once or late."""
        replica = self.replicas[who]
        record, events = replica.held
        stamp = self.stamp(who, replica)
        dot = (stamp[0], stamp[1])
        clock = max([stamp[3], *(self.history[serial].clock + 1 for serial in self.live(events))])
        gone = self.seen(events)
        kind = choice % 11
        exists = values.exists(record, 0)
        if kind < 7:
            amount = (1, 2, 5, -1, -3, 100, 0)[self.pick(7)]
            delta = strings.count(record, stamp, amount * UNIT, exists)
            # Nothing lives: what it covers is gone already.
            event = Event(NOTHING, amount, None, clock, dot)
        elif kind < 9:
            base = self.pick(50)
            delta = strings.assign(record, stamp, b"%d" % base, 0)
            # Above all that lives, and above baselines, of which this account knows nothing.
            assert codec.max_clock(delta) >= clock
            event = Event(gone, None, base, codec.max_clock(delta), dot)
        else:
            delta = values.remove(record, stamp)
            event = Event(gone)
        if not delta:
            assert not exists
            return
        self.resets += bool(event.gone)
        serial = len(self.history) + 1
        self.history[serial] = event
        # A delta is the whole new state: who gets it was sent all that its maker saw.
        message = Held(delta, events | {serial})
        replica.held = self.joined(replica.held, message)
        assert replica.held.record == delta
        if self.pick(3):
            self.flying.append((self.pick(4), message))

    def stamp(self, who: int, replica: Replica) -> Stamp:
        """The counter serves other keys as well, so it skips some. The fallback claims nothing."""
        replica.counter += 1 + self.pick(2)
        floor = replica.counter if who == 3 else replica.floor
        return intern_actor(b"CABF"[who : who + 1] * 16), replica.counter, floor, 1 + self.pick(40)

    def joined(self, a: Held, b: Held) -> Held:
        """The join in both accounts."""
        record = codec.join_records(a.record, b.record)
        self.records.append(record)
        return Held(record, a.events | b.events)

    # The dumb reader

    def seen(self, events: Serials) -> Serials:
        """All that these events hold, reset or not."""
        return events.union(*(self.history[serial].gone for serial in events))

    def live(self, events: Serials) -> list[int]:
        """Increments and strings that none of these events reset."""
        gone = NOTHING.union(*(self.history[serial].gone for serial in events))
        return sorted(
            serial for serial in events - gone
            if self.history[serial].amount is not None or self.history[serial].base is not None
        )

    def number(self, events: Serials) -> int | None:
        """What a client should see."""
        live = [self.history[serial] for serial in self.live(events)]
        if not live:
            return None
        bases = sorted((e.clock, e.dot, e.base) for e in live if e.base is not None)
        total = sum(e.amount for e in live if e.amount is not None)
        return total + (bases[-1][2] or 0 if bases else 0)

    def compare(self, held: Held) -> None:
        """Both accounts agree, and the bytes are canonical."""
        record, events = held
        expected = self.number(events)
        found = strings.value(record, 0)
        assert (None if found is None else int(found)) == expected, (found, expected)
        assert values.exists(record, 0) == codec.is_live(record) == (expected is not None)
        if record:
            codec.verify(record)
            assert codec.encode(codec.decode(record)) == record
        live = self.live(events)
        self.survivors += bool(live) and any(
            self.history[serial].gone and self.history[serial].gone.isdisjoint(live)
            for serial in events
        )


class FieldWorld(CounterWorld):
    """The same of one field of a hash; the hash may have another field, and DEL takes both."""

    def write(self, who: int, choice: int) -> None:
        replica = self.replicas[who]
        record, events = replica.held
        stamp = self.stamp(who, replica)
        dot = (stamp[0], stamp[1])
        kind = choice % 11
        draft = hashes.draft_of(record, stamp) if codec.is_live(record) else None
        if draft is None or hashes.key_ends_at(record) is None:
            draft = Draft(record, 0, hashes.FIELDS, lambda rec, now: False, stamp)
        before = hashes.value(draft, b"field")
        if kind < 6:
            amount = (1, 2, 5, -1, -3, 100, 0)[self.pick(7)]
            hashes.add(draft, b"field", amount * UNIT)
            event = Event(NOTHING, amount)
        elif kind < 8:
            base = self.pick(50)
            hashes.put(draft, b"field", b"%d" % base)
            clock = max(
                [stamp[3], *(self.history[serial].clock + 1 for serial in self.live(events))]
            )
            event = Event(self.seen(events), None, base, clock, dot)
        elif kind < 9:
            hashes.remove(draft, b"field")
            event = Event(self.seen(events))
        elif kind < 10:
            hashes.put(draft, b"other", b"1")
            event = Event(NOTHING)
        else:
            event = Event(self.seen(events))
        delta = values.remove(record, stamp) if kind == 10 else draft.delta()
        if not delta:
            assert before is None
            return
        replica.counter = max(replica.counter, codec.context_of(delta).top(stamp[0]))
        if event.base is not None:
            [(_, payload)] = [
                (dot, payload) for element, dot, payload in codec.entries_of(delta)
                if element == b"ffield"
            ]
            found = [
                dot for element, dot, _ in codec.entries_of(delta) if element == b"ffield"
            ]
            event = event._replace(
                clock=int.from_bytes(payload[:8]),
                dot=(found[0][:16], int.from_bytes(found[0][16:])),
            )
            assert event.clock >= clock
        self.resets += bool(event.gone)
        serial = len(self.history) + 1
        self.history[serial] = event
        whole = Held(codec.join_records(record, delta), events | {serial})
        replica.held = whole
        self.records.append(whole.record)
        if self.pick(3):
            self.flying.append((self.pick(4), whole))

    def compare(self, held: Held) -> None:
        """Both accounts agree, and the bytes are canonical."""
        record, events = held
        expected = self.number(events)
        view = hashes.view_of(record, 0)
        found = hashes.value(view, b"field")
        assert (None if found is None else int(found)) == expected, (found, expected)
        if record:
            codec.verify(record)
            assert codec.encode(codec.decode(record)) == record
        live = self.live(events)
        self.survivors += bool(live) and any(
            self.history[serial].gone and self.history[serial].gone.isdisjoint(live)
            for serial in events
        )
