"""Streams: what may be in them, by the replies to clients. Values are unique, nothing is removed.

*Lost?* An entry whose XADD was acknowledged is shown by all that must have met it, and in the end.

*Ids* grow: an XADD that must have met another has a higher one; no two entries have the same.

*Skipped?* In the end each entry was given to a consumer, or is pending (a read whose outcome is not
known may have taken it), or is yet to be given.
One that was given and that no client tried to acknowledge is pending. One that was acknowledged
by an XACK that must have met all that gave it is not pending.

*Given twice?* Not while nothing fails, but by XAUTOCLAIM.
"""

from collections.abc import Sequence

from respdyn.sim.operations import DONE, NOTHING, UNKNOWN, Op
from respdyn.sim.stream_ops import Entry, order_of


class Log:
    """One stream and its group."""

    def __init__(self, is_calm: bool = False) -> None:
        self._is_calm = is_calm
        self._adds: dict[bytes, Op] = {}                # by value
        self._ids: dict[bytes, bytes] = {}              # of values, as far as they are known
        self._given: dict[bytes, list[Op]] = {}         # id -> who was given it
        self._acks: dict[bytes, list[tuple[Op, bool]]] = {}     # and whether they met the others
        self._takes: list[Op] = []                      # that were begun

    # ---- what clients do ----

    def add(self, op: Op, value: bytes) -> None:
        """An XADD begins."""
        self._adds[value] = op

    def take(self, op: Op) -> None:
        """An XREADGROUP or XAUTOCLAIM begins."""
        self._takes.append(op)

    def given(self) -> list[bytes]:
        """The ids that were given and that no client has tried to acknowledge, sorted."""
        return sorted(self._given.keys() - self._acks.keys())

    def acknowledge(self, op: Op, id_: bytes) -> None:
        """An XACK begins."""
        self._acks.setdefault(id_, []).append((op, False))

    def acknowledged(self, op: Op, id_: bytes, is_met: bool) -> str:
        """An XACK was answered."""
        self._acks[id_] = [
            (one, is_met and op.result == 1) if one is op else (one, was_met)
            for one, was_met in self._acks[id_]
        ]
        return ""

    def added(self, op: Op, id_: bytes, is_met: bool) -> str:
        """An XADD was answered; what is wrong with that, "" for nothing."""
        value = op.argv[-1]
        for other, known in self._ids.items():
            if known == id_ and other != value:
                return f"{_name(other)} has the same id"
            before = self._adds[other]
            is_before = before.outcome == DONE and before.end_us < op.invoke_us
            if is_met and is_before and order_of(known) >= order_of(id_):
                return f"{_name(other)}, acknowledged before, has the id {_name(known)}"
        self._ids[value] = id_
        return ""

    def gave(self, op: Op, entries: Sequence[Entry]) -> str:
        """A consumer was given these."""
        for id_, _ in entries:
            known = self._given.setdefault(id_, [])
            known.append(op)
            reads = [one for one in known if one.argv[0] == b"XREADGROUP"]
            if self._is_calm and len(reads) > 1:
                return f"{_name(id_)} was given twice, although nothing fails"
        return self._unknown(op, entries)

    def showed(self, op: Op, entries: Sequence[Entry], is_met: bool) -> str:
        """All entries were shown."""
        order = [order_of(id_) for id_, _ in entries]
        if order != sorted(set(order)):
            return "the ids do not grow"
        values = {value for _, value in entries}
        for value, add in self._adds.items():
            is_before = add.outcome == DONE and add.end_us < op.invoke_us
            if is_met and is_before and value not in values:
                return f"{_name(value)} is not shown, which was acknowledged at {add.end_us} us"
        return self._unknown(op, entries)

    def _unknown(self, op: Op, entries: Sequence[Entry]) -> str:
        for id_, value in entries:
            add = self._adds.get(value)
            if add is None or add.invoke_us > op.end_us:
                return f"{_name(value)} was never added"
            if add.outcome == NOTHING:
                return f"the XADD of {_name(value)} was refused"
            if self._ids.setdefault(value, id_) != id_:
                return f"{_name(value)} has the id {_name(id_)}, not that of its XADD"
        return ""

    # ---- when all is over ----

    def lost(self, entries: Sequence[Entry], pending: set[bytes], new: set[bytes]) -> str:
        """What was lost, skipped or undone, where this is what is left; "" for nothing."""
        shown = dict(entries)
        values = set(shown.values())
        for value, add in self._adds.items():
            if add.outcome == DONE and value not in values:
                return f"in the end {_name(value)} is nowhere, acknowledged at {add.end_us} us"
        is_certain = all(one.outcome != UNKNOWN for one in self._takes)
        for id_ in shown:
            given = self._given.get(id_, [])
            if id_ in new or (id_ in pending and not given):
                continue
            if not given:
                return f"{_name(id_)} was never given to a client"
            acks = self._acks.get(id_, [])
            if given and not acks and id_ not in pending:
                return f"{_name(id_)} was given and not acknowledged, and is not pending"
            last_us = max((one.end_us for one in given), default=0)
            is_undone = any(met and ack.invoke_us > last_us for ack, met in acks)
            if id_ in pending and is_undone and is_certain:
                return f"{_name(id_)} is pending, which was acknowledged"
        return ""


def _name(value: bytes) -> str:
    return value.decode("latin-1")
