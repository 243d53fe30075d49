"""Clients that send transactions, and what must be true of these.

They share three keys of one slot. Two are a *pair*: every transaction that writes them gives both
the same number, and one that reads them, each from a single replica, must find the same number
twice. The third is a counter that is incremented under WATCH: two that succeed must not have made
the same number.

Both are judged while nothing fails. A replica that missed a frame is repaired key by key, and two
coordinators can each let an EXEC succeed. What the oracle demands of every acknowledged write, not
to be lost, it demands of those in transactions always.
"""


import hiredis

from respdyn.sim.chance import Chance
from respdyn.sim.clients import Busy
from respdyn.sim.host import Host
from respdyn.sim.operations import DONE, DOUBTS, NOTHING, REFUSALS, UNKNOWN, Op, Unexpected
from respdyn.sim.world import World

PAIR = (b"{pair}:1", b"{pair}:2")
COUNTER = b"{pair}:counter"

_ERROR_WORDS = (*REFUSALS, *DOUBTS)


class Transactor(Busy):
    """A client that works on the shared keys."""

    leaves_after = 0.01

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.will = Chance(world.plan.seed, f"transactor {name}")
        self._count: int | None = None      # the counter's number, when it was read under WATCH

    def connect(self, host: Host) -> bool:
        """See `Client.connect`: what was watched on another connection is not watched here."""
        self._count = None
        return super().connect(host)

    def choose(self) -> list[Op]:
        """See `Busy.choose`."""
        if self._count is not None:
            return self._increment()
        choose = self.will.pick((self._write, self._read, self._read, self._watch))
        # A WATCH may stand whose GET was refused.
        return [_plain([b"UNWATCH"]), *choose()]

    def receive(self, op: Op) -> None:
        """See `Client.receive`: the number to count on from."""
        if op.kind == "other" and op.argv == [b"GET", COUNTER] and op.outcome == DONE:
            self._count = _number(op.result)

    # ---- what is sent ----

    def _write(self) -> list[Op]:
        self.written += 1
        tag = b"%b/%d" % (self.name.encode(), self.written)
        pairs = [(key, b"%b/%b" % (tag, key)) for key in PAIR]
        parts = tuple(Op("set", [b"EXEC"], _settle_part, key, value) for key, value in pairs)
        return [
            _plain([b"MULTI"]), *(_plain([b"SET", key, value]) for key, value in pairs),
            Op("set", [b"EXEC"], _settle_exec, parts=parts),
        ]

    def _read(self) -> list[Op]:
        return [
            _plain([b"MULTI"]),
            *(_plain([b"DYN.WITH", b"R", b"1", b"GET", key]) for key in PAIR),
            Op("other", [b"EXEC"], self._settle_pair),
        ]

    def _watch(self) -> list[Op]:
        return [
            _plain([b"WATCH", COUNTER]), Op("other", [b"GET", COUNTER], _settle_any),
        ]

    def _increment(self) -> list[Op]:
        assert self._count is not None
        self.written += 1
        number = self._count + 1
        self._count = None
        value = b"%d/%b/%d" % (number, self.name.encode(), self.written)
        part = Op("set", [b"EXEC"], _settle_part, COUNTER, value)
        return [
            _plain([b"MULTI"]), _plain([b"SET", COUNTER, value]),
            Op("set", [b"EXEC"], self._settle_count, parts=(part,)),
        ]

    # ---- what it means ----

    def _settle_pair(self, op: Op, reply: object) -> None:
        if not isinstance(reply, list) or len(reply) != 2:
            raise Unexpected(f"{op} of a pair was answered {reply!r}")
        if any(isinstance(one, hiredis.ReplyError) for one in reply):
            return
        one, two = (None if held is None else held.rsplit(b"/", 1)[0] for held in reply)
        if one != two and self._has_one_coordinator():
            raise Unexpected(f"half of a transaction was shown: {reply!r}")
        self.world.count("pairs read")

    def _has_one_coordinator(self) -> bool:
        """Nothing fails, and no peer was so slow that another owner coordinates in its place."""
        return self.world.plan.is_calm and "trace peer_deprioritized" not in self.world.counts

    def _settle_count(self, op: Op, reply: object) -> None:
        _settle_exec(op, reply)
        plan = self.world.plan
        if op.parts[0].outcome != DONE:
            return
        number = _number(op.parts[0].value)
        made = self.world.made
        if number in made and self._has_one_coordinator() and plan.reads_see_writes:
            raise Unexpected(f"two increments under WATCH have both made {number}")
        made.add(number)
        self.world.count("increments under watch")


def _number(value: object) -> int:
    return int(value.split(b"/", 1)[0]) if isinstance(value, bytes) else 0


def _plain(argv: list[bytes]) -> Op:
    return Op("other", argv, _settle_plain)


def _settle_plain(op: Op, reply: object) -> None:
    if reply not in (b"OK", b"QUEUED"):
        raise Unexpected(f"{op} was answered {reply!r}")


def _settle_any(op: Op, reply: object) -> None:
    if reply is not None and not isinstance(reply, bytes):
        raise Unexpected(f"{op} was answered {reply!r}")


def _settle_part(op: Op, reply: object) -> None:
    if isinstance(reply, hiredis.ReplyError):
        word = str(reply).partition(" ")[0]
        if word not in _ERROR_WORDS:
            raise Unexpected(f"a SET in {op} was answered {reply}")
        is_refusal = word in REFUSALS or "nothing was done" in str(reply)
        op.outcome = NOTHING if is_refusal else UNKNOWN
    elif reply != b"OK":
        raise Unexpected(f"a SET in {op} was answered {reply!r}")


def _settle_exec(op: Op, reply: object) -> None:
    if reply is None:
        for part in op.parts:
            part.outcome = NOTHING
        return
    if not isinstance(reply, list) or len(reply) != len(op.parts):
        raise Unexpected(f"{op} was answered {reply!r}")
    for part, one in zip(op.parts, reply, strict=True):
        _settle_part(part, one)
