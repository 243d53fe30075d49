"""The oracle: from the replies that clients got, what a key may hold and must not.

It keeps no model of a cluster. For each key it has the operations with the time each began and the
time its client got the reply, and asks two questions of every read, and of the end of a run:

*Lost?* An acknowledged write that is not shown must have been removed, and whatever removed it must
itself be visible, or removed in turn: by something that is shown, a removal, or an expiry. Such a
chain must also be possible in time: what removes comes after what it removes. So two writes that
each excuse the other's absence excuse nothing.

*Back from the dead?* A value must not be shown once something that certainly covers it was
acknowledged: a SET or DEL that began after the value's own acknowledgement, when quorums overlap,
or a context that was read together with the value.

*Not found?* A key that all owners were given, and that nothing has removed since, must not be
called absent, whatever nodes can be reached: owners know it, and no other may say so. An owner
whose disk was wiped knows that it knows nothing; only one that has lost a tail of its disk does
not.

Where the promise does not hold, the question is not asked: quorums that need not overlap, and the
time between a crash that took away acknowledged data and its repair. In doubt it stays silent: a
false alarm costs more than a missed one, which another seed will find.

Source: Lu et al., Existential Consistency (2015), for judging registers by unique values.
"""


from respdyn.sim import operations
from respdyn.sim.key_history import KeyHistory
from respdyn.sim.list_ops import MOVED
from respdyn.sim.logs import Log
from respdyn.sim.operations import DONE, NEVER, NOTHING, OPEN, UNKNOWN, Op
from respdyn.sim.plan import Plan
from respdyn.sim.queues import Line
from respdyn.sim.sessions import Sessions
from respdyn.sim.stream_ops import GROUP, key_of
from respdyn.sim.tallies import Tally
from respdyn.types import stream_groups, streams


class Wrong(Exception):
    """A promise that was broken, and on which key."""

    def __init__(self, text: str, key: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.key = key


class History:
    """All keys, and what is promised to their readers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.keys: dict[bytes, KeyHistory] = {}
        self.margin_us = 0                  # by how much an expiry may be off
        self.clock_margin_us = 0            # and by how much two clocks may disagree
        # Since when acknowledged data is missing somewhere that nothing has repaired yet.
        self.damaged_us = NEVER
        self._damages: list[tuple[int, int]] = []
        # Some node has lost the tail of its disk, and cannot know it.
        self.has_lost_tails = False
        # Hints became too old before their owners came back: what was only there may be gone.
        self.has_dropped_hints = False
        self._open: dict[int, Op] = {}      # not answered yet, the oldest first
        # Each FLUSHALL that may still take effect: it removes keys too that are used later only.
        self._flushes: list[Op] = []
        # By client and key: the latest operation of its own that covers what it meets.
        self._own: dict[tuple[str, bytes], Op] = {}
        self.sessions = Sessions(plan)
        self._tallies: dict[tuple[bytes, bytes], Tally] = {}
        self._lines: dict[bytes, Line] = {}
        self._logs: dict[bytes, Log] = {}
        self._final: dict[bytes, list[bytes]] = {}      # by list: what it holds in the end
        self.operations = 0
        self.doubts = 0

    def of(self, key: bytes) -> KeyHistory:
        """The key's history."""
        found = self.keys.get(key)
        if found is None:
            found = self.keys[key] = KeyHistory(key)
            for flush in self._flushes:
                part = operations.flushed(flush, key)
                part.outcome = OPEN if id(flush) in self._open else UNKNOWN
                flush.parts += (part,)
                found.add(part)
        return found

    def damage(self, now_us: int) -> None:
        """From now on acknowledged data may be missing at one node."""
        self.damaged_us = min(self.damaged_us, now_us)

    def repaired(self, now_us: int) -> None:
        """Everything acknowledged is again where it belongs."""
        if self.damaged_us != NEVER:
            self._damages.append((self.damaged_us, now_us))
            self.damaged_us = NEVER

    def _is_sound(self, op: Op) -> bool:
        """Whether no damage was unrepaired while the operation ran."""
        return self._was_whole(op.invoke_us, op.end_us)

    def _was_whole(self, begin_us: int, end_us: int) -> bool:
        if end_us > self.damaged_us:
            return False
        return all(begin_us > end or end_us < begin for begin, end in self._damages)

    def _covers_meet(self) -> bool:
        return self.plan.writes_meet and self.damaged_us == NEVER and not self._damages

    # ---- what clients do ----

    def begin(self, op: Op, now_us: int) -> None:
        """The client sends it."""
        self.operations += 1
        op.invoke_us = now_us
        self._open[id(op)] = op
        if op.kind == "flush":
            op.parts = tuple(operations.flushed(op, key) for key in sorted(self.keys))
            self._flushes.append(op)
        for part in op.all():
            part.serial = self.operations
            part.client = op.client
            part.invoke_us = now_us
            if not part.key:
                continue
            history = self.of(part.key)
            part.floor_us = history.floor_us
            history.add(part)
            history.forget(now_us, next(iter(self._open.values())).invoke_us)

    def abandon(self, op: Op) -> None:
        """The client will get no reply to it."""
        self.doubts += 1
        del self._open[id(op)]
        for part in op.all():
            if part.outcome == OPEN:
                part.outcome = UNKNOWN

    def complete(self, op: Op, now_us: int) -> None:
        """The client has got the reply, and `answer` has said what. Raises `Wrong`."""
        del self._open[id(op)]
        if op.kind == "flush" and op.result == b"OK":
            self._flushes.remove(op)
        for part in op.all():
            if part.outcome == UNKNOWN:
                self.doubts += 1
                continue
            part.end_us = now_us
            if not part.key or (part.outcome == NOTHING and not part.was_absent):
                continue
            history = self.of(part.key)
            part.floor_us = max(part.floor_us, self._own_floor(part))
            self._note_effect(part, history)
            if part.read is not None or part.was_absent:
                self._judge_read(part, history)
            if part.is_shown:
                self._judge_member(part, history)
            if self.sessions.is_wanted:
                wrong = self.sessions.receive(
                    op, part, history, self.clock_margin_us, self._was_whole
                )
                if wrong:
                    raise Wrong(wrong, part.key)

    def _own_floor(self, op: Op) -> int:
        """Commands of one connection take effect in order, also while they are under way."""
        own = self._own.get((op.client, op.key))
        return -1 if own is None or own.serial > op.serial else own.invoke_us

    def _note_effect(self, op: Op, history: KeyHistory) -> None:
        if op.outcome != DONE:
            return
        if op.is_everywhere:
            history.anchored_us = min(history.anchored_us, op.end_us)
        plan = self.plan
        meets = (op.kind == "set" and plan.writes_meet) or (
            op.kind == "remove" and plan.reads_see_writes
        )
        if meets and op.claims and self._is_sound(op):
            history.floor_us = max(history.floor_us, op.invoke_us)
            self._own[op.client, op.key] = op
        if op.kind in ("put", "cut"):
            for value in op.covers:
                write = history.writes[value]
                write.covered_us = min(write.covered_us, op.end_us)

    # ---- judging ----

    def _judge_read(self, op: Op, history: KeyHistory) -> None:
        shown = op.read or ()
        for value in shown:
            write = history.writes.get(value)
            if write is None or write.invoke_us > op.end_us:
                raise Wrong(f"{op} of {op.client} shows {_name(value)}, never written", op.key)
            if write.client == op.client and write.serial > op.serial:
                raise Wrong(
                    f"{op} of {op.client} shows {_name(value)}, which it wrote only after", op.key
                )
        if len(set(shown)) < len(shown):
            raise Wrong(f"{op} of {op.client} shows a value twice: it was written twice", op.key)
        if (
            op.was_absent and history.anchored_us < op.invoke_us
            and op.end_us < history.removable_us and not self.has_lost_tails
        ):
            raise Wrong(
                f"{op} of {op.client} finds nothing, although all owners have had a value since"
                f" {history.anchored_us} us and nothing has removed it", op.key,
            )
        if not self.plan.reads_see_writes or not self._is_sound(op):
            return
        for value in shown:
            write = history.writes[value]
            if write.outcome == NOTHING:
                raise Wrong(f"{op} of {op.client} shows {_name(value)}, which was refused", op.key)
            if write.end_us < op.floor_us:
                raise Wrong(
                    f"{op} of {op.client} shows {_name(value)}, which an operation covered that"
                    f" began at {op.floor_us} us and was acknowledged before the read", op.key,
                )
            if write.covered_us < op.invoke_us:
                raise Wrong(
                    f"{op} of {op.client} shows {_name(value)}, which a context had covered",
                    op.key,
                )
            if history.must_be_expired(write, op.invoke_us, self.margin_us):
                raise Wrong(f"{op} of {op.client} shows {_name(value)}, long expired", op.key)
        if op.was_absent or op.argv[-2] == b"DYN.GETCTX":
            lost = history.unexplained(
                shown, op.invoke_us, op.end_us, op.floor_us, self.margin_us, self._covers_meet()
            )
            if lost is not None:
                raise Wrong(
                    f"{op} of {op.client} does not show {_name(lost.value)}, acknowledged before"
                    " and removed by nothing", op.key,
                )

    def _judge_member(self, op: Op, history: KeyHistory) -> None:
        """A member is shown: something must have added it that nothing has certainly removed."""
        is_judged = self.plan.reads_see_writes and self._is_sound(op)
        if not history.may_hold(op.end_us, op.floor_us if is_judged else -1):
            raise Wrong(
                f"{op} of {op.client} shows {_name(op.key)}, which nothing has added since a"
                f" removal that began at {op.floor_us} us and was acknowledged before the read",
                op.key,
            )

    def judge_member_end(self, key: bytes, is_shown: bool, now_us: int) -> None:
        """What all nodes say of a member in the end. Raises `Wrong`."""
        if not is_shown:
            self.judge_end(key, (), now_us, now_us)
            return
        history = self.of(key)
        if not history.may_hold(NEVER, history.floor_us):
            raise Wrong(
                f"{_name(key)} is there in the end, although a removal that began at"
                f" {history.floor_us} us covered all that had added it", key,
            )

    # ---- sums ----

    def tally(self, key: bytes, field: bytes) -> Tally:
        """The history of a counter."""
        return self._tallies.setdefault((key, field), Tally())

    def judge_sum(self, key: bytes, field: bytes, shown: int, op: Op) -> None:
        """A client was shown a sum. Raises `Wrong`."""
        is_met = self.plan.reads_see_writes and self._is_sound(op)
        wrong = self.tally(key, field).wrong(shown, op.invoke_us, op.end_us, is_met, is_met)
        if wrong:
            raise Wrong(f"{op} of {op.client}: {wrong}", key)

    def judge_last_sum(self, key: bytes, field: bytes, shown: int, asked_us: int) -> None:
        """What all nodes say of a sum in the end. Raises `Wrong`."""
        meets_removals = (
            self.plan.reads_see_writes and self.damaged_us == NEVER and not self._damages
        )
        wrong = self.tally(key, field).wrong(
            shown, asked_us, NEVER, not self.has_dropped_hints, meets_removals
        )
        if wrong:
            raise Wrong(f"in the end, of {field.decode()}: {wrong}", key)

    # ---- lists ----

    def line(self, key: bytes) -> Line:
        """The history of a list, and of the one that its items are moved to."""
        source = key.removesuffix(MOVED)
        if source not in self._lines:
            further = source + MOVED if source.startswith(b"belt") else b""
            self._lines[source] = Line(source, further, self.plan.is_calm)
        return self._lines[source]

    def judge_items(self, op: Op) -> None:
        """A client got items, was shown them, or there were none. Raises `Wrong`."""
        name, key = op.argv[0], op.argv[1]
        if name in (b"RPUSH", b"LPUSH"):
            return
        line, items = self.line(key), op.result
        assert isinstance(items, list)
        is_met = self.plan.reads_see_writes and self._is_sound(op)
        wrong = (
            line.gave(op, key, items) if items and name != b"LRANGE"
            else line.showed(op, key, items, is_met)
        )
        if wrong:
            raise Wrong(f"{op} of {op.client}: {wrong}", key)

    # ---- streams ----

    def log(self, key: bytes) -> Log:
        """The history of a stream."""
        if key not in self._logs:
            self._logs[key] = Log(self.plan.is_calm and self.plan.reads_see_writes)
        return self._logs[key]

    def judge_entries(self, op: Op) -> None:
        """A client was answered about a stream. Raises `Wrong`."""
        name, key = op.argv[0], key_of(op)
        log = self.log(key)
        is_met = self.plan.reads_see_writes and self._is_sound(op)
        shown = op.result
        wrong = ""
        if name == b"XADD":
            assert isinstance(shown, bytes)
            wrong = log.added(op, shown, is_met)
        elif name == b"XACK":
            wrong = log.acknowledged(op, op.argv[3], is_met)
        elif name != b"XGROUP":
            assert isinstance(shown, list)
            wrong = log.showed(op, shown, is_met) if name == b"XRANGE" else log.gave(op, shown)
        if wrong:
            raise Wrong(f"{op} of {op.client}: {wrong}", key)

    def judge_log_end(self, key: bytes, entries: list[tuple[bytes, bytes]], record: bytes) -> None:
        """What all nodes say of a stream in the end, and have of its group. Raises `Wrong`."""
        view = streams.view_of(record, 0)
        group = stream_groups.group_of(view, GROUP)
        pending = stream_groups.PendingList(view, GROUP).between(streams.ZERO_ID)
        new = stream_groups.new_entries(view, GROUP, group, 0) if group is not None else []
        if self.has_dropped_hints or group is None:
            return
        wrong = self.log(key).lost(
            entries, {streams.shown(element[-16:]) for element in pending},
            {streams.shown(element[1:]) for element in new},
        )
        if wrong:
            raise Wrong(wrong, key)

    # ---- the end of lists ----

    def judge_line_end(self, key: bytes, items: list[bytes]) -> None:
        """What all nodes say of a list in the end. Raises `Wrong`."""
        self._final[key] = items
        line = self.line(key)
        lists = [one for one in (line.source, line.further) if one]
        if all(one in self._final for one in lists) and not self.has_dropped_hints:
            wrong = line.lost({one: self._final[one] for one in lists})
            if wrong:
                raise Wrong(wrong, key)

    def judge_end(
        self, key: bytes, siblings: tuple[bytes, ...], asked_us: int, now_us: int,
        shows_all: bool = True,
    ) -> None:
        """What all nodes say in the end, read since `asked_us`. Raises `Wrong`.

        `shows_all`: siblings are shown as well; else what is not shown may be one.
        """
        history = self.of(key)
        for value in siblings:
            write = history.writes.get(value)
            if write is None:
                raise Wrong(f"{_name(value)} is there in the end, never written", key)
            if write.outcome == NOTHING:
                raise Wrong(f"{_name(value)} is there in the end, although it was refused", key)
            if write.end_us < history.floor_us:
                raise Wrong(
                    f"{_name(value)} is there in the end, although an operation that began at"
                    f" {history.floor_us} us, after its acknowledgement, covered it", key,
                )
            if write.covered_us != NEVER:
                raise Wrong(
                    f"{_name(value)} is there in the end, although a context covered it", key
                )
            if history.must_be_expired(write, asked_us, self.margin_us):
                raise Wrong(f"{_name(value)} is there in the end, long expired", key)
        if siblings and not shows_all:
            return
        lost = history.unexplained(
            siblings, NEVER, now_us, history.floor_us, self.margin_us, self._covers_meet()
        )
        if lost is not None and not self.has_dropped_hints:
            raise Wrong(
                f"{_name(lost.value)} is lost: acknowledged at {lost.end_us} us, not there in the"
                " end, and nothing can have removed it", key,
            )


def _name(value: bytes) -> str:
    """A value without its padding."""
    return value.partition(b"~")[0].decode("latin-1")
