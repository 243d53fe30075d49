"""A few replicas, clients and faults around one key, kept twice: as records and as plain history.

Each replica holds the record under test and, beside it, the explicit set of all events it was sent
of, where an event lists one by one the events it covers. No dots are compared with intervals in
that second account, so it cannot share a mistake of the first. After every step both must read the
same; at the end everything is delivered and all replicas must be equal, byte for byte.

Faults: deltas that are lost, late, repeated and reordered; hints; fallbacks that coordinate without
any state; a replica that restarts without the tail of its disk (counter continues, floor is
raised); one that gives the key up and takes it back from a copy.

Source: research model behind SEMANTICS 1.3, extended by strings, expiries and client contexts.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from respdyn.causal import codec
from respdyn.causal.context import Context
from respdyn.causal.dot import Dot, Stamp, intern_actor
from respdyn.causal.dotted_map import DottedMap
from respdyn.types import strings, values

Seen = frozenset[int]
NOTHING: Seen = frozenset()
TIMES_MS = (0, 4, 7, 100)


@dataclass(frozen=True)
class Event:
    """Something that happened, and the serials of the events that it makes void."""

    kind: str                       # value, remark or removal
    covers: Seen
    dot: Dot | None = None
    clock: int = 0
    expire_at: int = 0
    value: bytes = b""
    target: int = 0                 # of a remark: the serial of its value
    acknowledged: bool = False


class Message(NamedTuple):
    """A delta on its way, in both accounts."""

    record: bytes
    events: Seen


EMPTY = Message(b"", NOTHING)


@dataclass
class Replica:
    """One owner of the key: what it holds, what is on its disk, what it may claim."""

    counter: int = 0
    floor: int = 0
    held: Message = EMPTY
    disk: Message = EMPTY


class Reading(NamedTuple):
    """All that a client can ask."""

    value: bytes | None
    exists: bool
    expire_at: int | None
    siblings: list[bytes]


@dataclass
class World:
    """One key; `policy` is the claim of a coordinator: floor (right), bare, previous, vector."""

    schedule: bytes
    policy: str = "floor"
    is_compared: bool = True        # after each step; else only the end is judged
    owners: list[Replica] = field(default_factory=lambda: [Replica() for _ in range(3)])
    fallback: Replica = field(default_factory=Replica)
    hints: list[tuple[int, Message]] = field(default_factory=list)
    history: dict[int, Event] = field(default_factory=dict)
    clients: list[tuple[Context, Seen]] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    at: int = 0
    restarts: int = 0

    # The schedule

    def pick(self, count: int) -> int:
        """The next choice of the schedule."""
        byte = self.schedule[self.at] if self.at < len(self.schedule) else 0
        self.at += 1
        return byte % count

    def run(self) -> None:
        """Every step of the schedule, compared after each, then the end."""
        while self.at < len(self.schedule):
            self.step()
            for owner in self.owners if self.is_compared else []:
                self.compare(owner.held)
        self.settle()

    def step(self) -> None:
        """One thing happens."""
        choice, who = self.pick(100), self.pick(3)
        owner = self.owners[who]
        if choice < 45:
            self.write(who, owner, choice)
        elif choice < 52:
            self.write(3, self.fallback, choice - 45)
        elif choice < 68:
            self.deliver(is_repeated=choice < 55)
        elif choice < 76:
            other = self.owners[self.pick(3)]
            both = self.joined(owner.held, other.held)
            for each in (owner, other):
                each.held = each.disk = both
        elif choice < 82:
            owner.disk = owner.held
        elif choice < 90:
            self.restart(owner)
        elif choice < 95:
            self.take_back(who)
        else:
            record, events = owner.held
            self.clients.append((codec.context_of(record), self.seen(events)))

    def restart(self, owner: Replica) -> None:
        """It comes back with what its disk had; its counter goes on behind the lease."""
        self.restarts += owner.held != owner.disk
        owner.held = owner.disk
        owner.counter += 10
        owner.floor = owner.counter

    def take_back(self, who: int) -> None:
        """A copy is dropped when the disks of others have it all; the key may return stale.

        Their disks, not their memory: a receiver that verified what it then forgets in a restart
        loses acknowledged writes under any claim.
        """
        owner, others = self.owners[who], [x for x in self.owners if x is not self.owners[who]]
        rest = self.joined(others[0].disk, others[1].disk)
        if self.joined(rest, owner.held) == rest:
            owner.held = owner.disk = others[self.pick(2)].held
            owner.floor = owner.counter

    def deliver(self, is_repeated: bool) -> None:
        """One waiting delta arrives; what was acknowledged as stored is on the disk."""
        if self.hints:
            place = self.pick(len(self.hints))
            to, message = self.hints[place] if is_repeated else self.hints.pop(place)
            self.receive(self.owners[to], message)

    def receive(self, owner: Replica, message: Message) -> None:
        owner.held = owner.disk = self.joined(owner.held, message)

    def joined(self, a: Message, b: Message) -> Message:
        """The join in both accounts."""
        record = codec.join_records(a.record, b.record)
        self.records.append(record)
        return Message(record, a.events | b.events)

    # Writes

    def write(self, who: int, owner: Replica, choice: int) -> None:
        """A client's command, coordinated by this owner, or by the fallback (who = 3)."""
        record, events = owner.held
        stamp = self.stamp(who, owner)
        expire_at = (0, 0, 5, 8)[self.pick(4)]
        context, seen = self.clients[self.pick(len(self.clients))] if self.clients else (
            Context(), NOTHING)
        serial = len(self.history) + 1
        value = b"%d" % serial
        kept = self.early(events)
        everything = self.seen(events) - kept
        clock = max([stamp[3], *(self.history[e].clock + 1 for e in self.live(events))])
        dot = (stamp[0], stamp[1])
        match choice % 9:
            case 0 | 1 | 2:
                delta = strings.assign(record, stamp, value, expire_at)
                event = Event("value", everything, dot, clock, expire_at, value)
                assert codec.join_records(record, delta) is delta
            case 3:
                delta = values.remove(record, stamp)
                event = Event("removal", everything)
            case 4 | 5 | 6:
                delta = strings.expire(record, stamp, expire_at)
                ranked = self.ranked(events)
                target = ranked[0] if ranked else 0
                remarks = [e for e in self.live(events) if self.history[e].target == target]
                # A value that ends soon, as all that end here do, travels with its remark.
                kept = events if target and self.history[target].expire_at else NOTHING
                event = Event("remark", frozenset(remarks) if target else NOTHING,
                              dot, clock, expire_at, target=target)
            case 7:
                delta = strings.put(context, stamp, value, expire_at, record)
                kept = NOTHING
                event = Event("value", seen, dot, stamp[3], expire_at, value)
            case _:
                delta = values.remove_context(context)
                kept = NOTHING
                event = Event("removal", seen)
        needs_value = event.kind == "remark" or choice % 9 == 3
        if needs_value and not self.ranked(events):
            assert delta == b""
        elif delta:
            self.history[serial] = event
            self.records.append(delta)
            self.ship(who, Message(delta, kept | {serial}), serial)

    def stamp(self, who: int, owner: Replica) -> Stamp:
        """The counter serves other keys as well, so it skips some."""
        owner.counter += 1 + self.pick(3)
        floor = owner.floor if self.policy == "floor" else 0
        if who == 3 or self.policy == "bare":
            floor = owner.counter
        return intern_actor(b"ABCF"[who : who + 1] * 16), owner.counter, floor, 1 + self.pick(40)

    def ship(self, who: int, message: Message, serial: int) -> None:
        """To every owner: at once, as a hint, late, or never. One copy elsewhere acknowledges."""
        if who < 3:
            self.owners[who].held = self.joined(self.owners[who].held, message)
        elif self.pick(2):
            self.hints.append((self.pick(3), message))
        for other in range(3):
            fate = self.pick(20)
            if other == who or fate >= 16:
                continue
            if fate < 10:
                self.receive(self.owners[other], message)
            else:
                self.hints.append((other, message))
            if not self.history[serial].acknowledged:
                self.history[serial] = Event(
                    **{**vars(self.history[serial]), "acknowledged": True})

    # The dumb reader

    def seen(self, events: Seen) -> Seen:
        """All serials that these events hold, void or not."""
        return events.union(*(self.history[e].covers for e in events))

    def live(self, events: Seen) -> Seen:
        """Values and remarks that none of these events covers."""
        void = NOTHING.union(*(self.history[e].covers for e in events))
        return frozenset(e for e in events if self.history[e].dot is not None) - void

    def early(self, events: Seen) -> Seen:
        """Live remarks on values of which nothing is known yet."""
        seen = self.seen(events)
        return frozenset(
            e for e in self.live(events)
            if self.history[e].kind == "remark" and self.history[e].target not in seen
        )

    def ranked(self, events: Seen) -> list[int]:
        """Live values, the highest (clock, dot) first."""
        live = [e for e in self.live(events) if self.history[e].kind == "value"]
        return sorted(live, key=lambda e: (self.history[e].clock, self.history[e].dot))[::-1]

    def read(self, events: Seen, now_ms: int) -> Reading:
        """What SEMANTICS 3 and 5 say a client sees."""
        shown: list[tuple[bytes, int]] = []
        for serial in self.ranked(events):
            bounds = [
                self.history[e].expire_at
                for e in self.live(events)
                if self.history[e].kind == "remark" and self.history[e].target == serial
            ]
            if bounds:
                expire_at = 0 if 0 in bounds else max(bounds)
            else:
                expire_at = self.history[serial].expire_at
            if expire_at == 0 or expire_at > now_ms:
                shown.append((self.history[serial].value, expire_at))
            elif not shown:
                return Reading(None, False, None, [])
        if not shown:
            return Reading(None, False, None, [])
        return Reading(shown[0][0], True, shown[0][1], [value for value, _ in shown])

    def compare(self, message: Message) -> None:
        """Both accounts agree on everything a client can ask, and on what is alive."""
        record, events = message
        if record:
            codec.verify(record)
        mine = {dot for _, dot, _ in codec.entries_of(record)}
        dots = [self.history[e].dot for e in self.live(events)]
        assert mine == {dot[0] + dot[1].to_bytes(8) for dot in dots if dot is not None}
        for now_ms in TIMES_MS:
            assert self.read(events, now_ms) == Reading(
                strings.value(record, now_ms),
                values.exists(record, now_ms),
                values.expire_at(record, now_ms),
                strings.siblings(record, now_ms),
            )

    # The end

    def settle(self) -> None:
        """Deliver and exchange everything; then equal bytes, nothing lost, nothing back."""
        for to, message in self.hints:
            self.receive(self.owners[to], message)
        end = EMPTY
        for owner in self.owners:
            end = self.joined(end, owner.held)
        for owner in self.owners:
            assert self.joined(owner.held, end).record == end.record
        self.judge(end.record)
        if self.is_compared:
            self.compare(end)

    def judge(self, record: bytes) -> None:
        """The verdict, from all events that ever were and not from what replicas were sent."""
        alive = {dot for _, dot, _ in codec.entries_of(record)}
        covered = NOTHING.union(*(event.covers for event in self.history.values()))
        covered_for_sure = NOTHING.union(
            *(event.covers for event in self.history.values() if event.acknowledged)
        )
        for serial, event in self.history.items():
            if event.dot is None:
                continue
            is_alive = event.dot[0] + event.dot[1].to_bytes(8) in alive
            if event.acknowledged and serial not in covered:
                assert is_alive, f"lost: {serial} {event}"
            if serial in covered_for_sure:
                assert not is_alive, f"resurrected: {serial} {event}"


class SetWorld(World):
    """The same faults around an add-wins set of elements that are never added twice.

    Here the test makes the deltas itself, so it can also make the claims that are wrong.
    """

    def write(self, who: int, owner: Replica, choice: int) -> None:
        record, events = owner.held
        actor, counter, floor, clock = self.stamp(who, owner)
        serial = len(self.history) + 1
        live = sorted(self.live(events))
        if choice % 3 == 0 and live:
            gone = live[self.pick(len(live))]
            dot = self.history[gone].dot
            assert dot is not None
            state = DottedMap({}, Context().add(dot[0], dot[1] - 1, dot[1]))
            event = Event("removal", frozenset([gone]))
        else:
            previous = codec.context_of(record).top(actor)
            if self.policy == "vector":
                lo = 0
            else:
                lo = previous if previous > floor else counter - 1
            state = DottedMap(
                {b"m%d" % serial: {(actor, counter): clock.to_bytes(8)}},
                Context().add(actor, lo, counter),
            )
            event = Event("value", NOTHING, (actor, counter), clock)
        self.history[serial] = event
        delta = codec.encode(state)
        self.records.append(delta)
        self.ship(who, Message(delta, frozenset([serial])), serial)

    def compare(self, message: Message) -> None:
        """The same elements are alive."""
        mine = {element for element, _, _ in codec.entries_of(message.record)}
        assert mine == {b"m%d" % serial for serial in self.live(message.events)}
