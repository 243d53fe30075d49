"""Clients that send scripts, and what must be true of these.

What they do, each by one script:

    spread      three keys, of several coordinators, get values, and the script replies what they
                had; some are declared, some not, in any order; it must see what it has written
    pair        the two keys that transactions share (`transactors`) get the same number
    look        EVAL_RO reads the pair
    swap        one key gets a value, and the script replies what it had

Judged while nothing fails: a look finds the same number twice, and no two scripts have put their
value in the place of the same one, which is that no script ran on a record that another was
changing. Judged always, as of any command: nothing acknowledged is lost, and what was answered with
"nothing was done" is never seen, of none of a script's keys. The process of scripts dies now and
then, at any of them (`script_process`).

Source: decisions 0056, 0057, 0060.
"""

from collections.abc import Callable

import hiredis

from respdyn.sim import operations
from respdyn.sim.chance import Chance
from respdyn.sim.clients import Busy
from respdyn.sim.operations import Op, Unexpected, expect
from respdyn.sim.transactors import PAIR
from respdyn.sim.world import World

SPREAD = (b"script:1", b"script:2", b"script:3")
SWAP = b"script:swap"

_SPREAD = b"""
local had = {}
for i = 1, #ARGV, 2 do
    had[#had + 1] = redis.call('get', ARGV[i]) or ''
    redis.call('set', ARGV[i], ARGV[i + 1])
end
for i = 1, #ARGV, 2 do
    if redis.call('get', ARGV[i]) ~= ARGV[i + 1] then return 'its own write is not there' end
end
return had
"""
_PAIR = b"redis.call('set', KEYS[1], ARGV[1]) return redis.call('set', KEYS[2], ARGV[2])"
_LOOK = b"return {redis.call('get', KEYS[1]), redis.call('get', KEYS[2])}"
_SWAP = b"local v = redis.call('get', KEYS[1]) redis.call('set', KEYS[1], ARGV[1]) return v"


class Scripter(Busy):
    """A client that sends scripts."""

    leaves_after = 0.01

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.will = Chance(world.plan.seed, f"scripter {name}")

    def choose(self) -> list[Op]:
        """See `Busy.choose`."""
        count = self.will.between(1, self.world.plan.pipeline)
        return [self._choose() for _ in range(count)]

    def _choose(self) -> Op:
        will = self.will
        lot = will.random()
        if lot < 0.3:
            return self._swap()
        if lot < 0.6:
            return self._spread()
        if lot < 0.75:
            return self._pair()
        if lot < 0.9:
            argv = [b"EVAL_RO", _LOOK, b"2", *PAIR]
            return Op("other", argv, self._settle_look)
        return operations.get(will.pick((*SPREAD, SWAP)))

    def _tag(self) -> bytes:
        self.written += 1
        return b"%b/%d" % (self.name.encode(), self.written)

    # ---- what is sent ----

    def _swap(self) -> Op:
        value = b"%b/%b" % (SWAP, self._tag())
        argv = [b"EVAL", _SWAP, b"1", SWAP, value]
        return Op("set", argv, self._settle_swap, SWAP, value)

    def _spread(self) -> Op:
        will, tag = self.will, self._tag()
        pairs = [(key, b"%b/%b" % (key, tag)) for key in will.shuffled(SPREAD)]
        declared = will.shuffled(SPREAD)[: will.between(0, len(SPREAD))]
        argv = [
            b"EVAL", _SPREAD, b"%d" % len(declared), *declared,
            *(word for pair in pairs for word in pair),
        ]
        return _of_several(argv, pairs, self._settle_spread)

    def _pair(self) -> Op:
        tag = self._tag()
        pairs = [(key, b"%b/%b" % (tag, key)) for key in PAIR]
        argv = [b"EVAL", _PAIR, b"2", *PAIR, *(value for _, value in pairs)]
        return _of_several(argv, pairs, _settle_ok)

    # ---- what it means ----

    def _settle_look(self, op: Op, reply: object) -> None:
        expect(isinstance(reply, list) and len(reply) == 2, op, reply)
        assert isinstance(reply, list)
        if any(isinstance(one, hiredis.ReplyError) for one in reply):
            return
        one, two = (None if held is None else held.rsplit(b"/", 1)[0] for held in reply)
        if one != two and self._is_judged():
            raise Unexpected(f"half of a script was shown: {reply!r}")
        self.world.count("pairs read by script")

    def _settle_swap(self, op: Op, reply: object) -> None:
        expect(reply is None or isinstance(reply, bytes), op, reply)
        if isinstance(reply, bytes):
            self._took(reply)

    def _settle_spread(self, op: Op, reply: object) -> None:
        expect(isinstance(reply, list) and len(reply) == len(SPREAD), op, reply)
        assert isinstance(reply, list)
        for had in reply:
            if had:
                self._took(had)

    def _took(self, had: bytes) -> None:
        """A script has put its value in the place of this one."""
        if had in self.world.taken and self._is_judged():
            raise Unexpected(f"two scripts have both taken {had!r}")
        self.world.taken.add(had)
        self.world.count("values taken by scripts")

    def _is_judged(self) -> bool:
        """Nothing fails, no peer was so slow that another owner coordinates in its place."""
        plan = self.world.plan
        return (
            plan.is_calm and plan.reads_see_writes and not plan.spares
            and "trace peer_deprioritized" not in self.world.counts
        )


def _of_several(
    argv: list[bytes], pairs: list[tuple[bytes, bytes]], settle: Callable[[Op, object], None]
) -> Op:
    parts = tuple(Op("set", argv, _settle_ok, key, value) for key, value in pairs)
    return Op("set", argv, settle, parts=parts)


def _settle_ok(op: Op, reply: object) -> None:
    expect(reply == b"OK", op, reply)
