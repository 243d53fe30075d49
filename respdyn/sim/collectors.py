"""Clients that work on sets, hashes, sorted sets, counters and lists, as `Worker` does on strings.

What they do with a key depends on its kind:

    kept        SADD and reads: no member may ever be lost
    members     and SREM, SPOP, DEL
    fields      HSET, HSETNX, HDEL, HGETDEL, DEL, HGET, HGETALL
    timed       HSET, HSETEX, HPEXPIRE, HPERSIST, reads
    tally       HINCRBY, HGET, and once in a while HDEL
    sum         HINCRBY and HGET: the sum is exact
    scores      ZADD, ZREM, DEL, ZSCORE, ZRANGE
    points      ZINCRBY and ZSCORE: the sum is exact
    queue       RPUSH, LPUSH, LPOP, RPOP, BLPOP, LRANGE, DEL
    belt        RPUSH and LMOVE, LRANGE; and LPOP, BLPOP and LRANGE of the list that it moves to
    stream      XADD, XREADGROUP, XACK, XAUTOCLAIM, XRANGE
"""

from collections.abc import Callable
from functools import partial

from respdyn.causal import codec
from respdyn.ring.hashing import locator, slot_of_locator
from respdyn.sim import collection_ops, list_ops, operations, stream_ops
from respdyn.sim.chance import Chance
from respdyn.sim.clients import Busy
from respdyn.sim.operations import DONE, Op
from respdyn.sim.world import World

OF_SET = ("kept", "members")
OF_COUNTER = ("tally", "sum", "points")
OF_LIST = ("queue", "belt")
STREAM = "stream"
MEMBERS = tuple(b"m%d" % index for index in range(5))
FIELDS = tuple(b"f%d" % index for index in range(4))
COUNTERS = FIELDS[:2]
_MOST = 1_000_000


def whole(key: bytes, kind: str, terms: tuple[bytes, ...] = ()) -> Op:
    """The command that reads all of a key."""
    if kind in OF_SET:
        return collection_ops.smembers(key, MEMBERS, terms)
    if kind in OF_COUNTER:
        words = [b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]
        return collection_ops.all_tallies(words if kind == "points" else [b"HGETALL", key], terms)
    if kind in OF_LIST:
        return list_ops.show(key, terms)
    if kind == STREAM:
        return stream_ops.show(key, terms)
    if kind == "scores":
        return collection_ops.zrange(key, MEMBERS, terms)
    return collection_ops.hgetall(key, FIELDS, terms)


def elements_of(kind: str) -> tuple[bytes, ...]:
    """All elements that a key of this kind may have, but for counters, lists and streams."""
    if kind in OF_COUNTER or kind in OF_LIST or kind == STREAM:
        return ()
    return MEMBERS if kind in OF_SET or kind == "scores" else FIELDS


class Collector(Busy):
    """A client that works on the plan's collections."""

    leaves_before = 0.03
    leaves_after = 0.005

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.will = Chance(world.plan.seed, f"collector {name}")
        self._keys = [(key.encode(), kind) for key, kind in world.plan.collections]
        self._begun: set[bytes] = set()     # streams whose group this client has asked for

    def choose(self) -> list[Op]:
        """See `Busy.choose`."""
        count = self.will.between(1, self.world.plan.pipeline)
        chosen: list[Op] = []
        while len(chosen) < count:
            chosen.append(self._choose(*self.will.pick(self._keys)))
            if chosen[-1].argv[0] == b"BLPOP":      # what is behind it would wait as well
                break
        return chosen

    def receive(self, op: Op) -> None:
        """See `Client.receive`: judge a sum, or items."""
        if op.kind != "tally" or op.outcome != DONE or op.argv[0] in (b"HDEL", b"DEL"):
            return
        if op.argv[0] in stream_ops.NAMES:
            self.world.history.judge_entries(op)
            return
        if op.argv[0] in list_ops.NAMES:
            self.world.history.judge_items(op)
            return
        assert isinstance(op.result, int)
        field = op.argv[3 if op.argv[0] == b"ZINCRBY" else 2]
        self.world.history.judge_sum(op.argv[1], field, op.result, op)

    # ---- choosing ----

    def _value(self, key: bytes) -> bytes:
        self.written += 1
        return b"%b/%b/%d" % (key, self.name.encode(), self.written)

    def _choose(self, key: bytes, kind: str) -> Op:
        if kind in OF_SET:
            return self._choose_member(key, kind == "kept")
        if kind in OF_COUNTER:
            return self._choose_count(key, kind)
        if kind in OF_LIST:
            return self._choose_item(key, kind == "queue")
        if kind == STREAM:
            return self._choose_entry(key)
        if kind == "scores":
            return self._choose_score(key)
        return self._choose_timed(key) if kind == "timed" else self._choose_field(key)

    def _choose_member(self, key: bytes, is_kept: bool) -> Op:
        will = self.will
        lot = will.random()
        member = will.pick(MEMBERS)
        if lot < 0.15:
            return collection_ops.sismember(key, member)
        if lot < 0.4:
            return collection_ops.smembers(key, MEMBERS)
        several = will.shuffled(MEMBERS)[: will.between(1, 3)]
        if lot < 0.45:
            return collection_ops.smismember(key, several)
        if is_kept or lot < 0.75:
            return collection_ops.sadd(key, [(one, self._value(key)) for one in several])
        if lot < 0.9:
            return collection_ops.removal(b"SREM", key, [member])
        if lot < 0.94:
            return collection_ops.removal(b"SREM", key, several)
        return (
            collection_ops.spop(key, MEMBERS) if lot < 0.97
            else collection_ops.delete_all(key, MEMBERS)
        )

    def _choose_field(self, key: bytes) -> Op:
        will = self.will
        lot = will.random()
        field = will.pick(FIELDS)
        if lot < 0.3:
            return collection_ops.hset(key, field, self._value(key))
        if lot < 0.5:
            return collection_ops.hget(key, field)
        if lot < 0.7:
            return collection_ops.hgetall(key, FIELDS)
        several = will.shuffled(FIELDS)[: will.between(1, 3)]
        if lot < 0.76:
            return collection_ops.hmset(key, [(one, self._value(key)) for one in several])
        if lot < 0.82:
            return collection_ops.hsetnx(key, field, self._value(key))
        if lot < 0.9:
            return collection_ops.removal(b"HDEL", key, [field])
        if lot < 0.94:
            return collection_ops.removal(b"HDEL", key, several)
        return (
            collection_ops.hgetdel(key, field) if lot < 0.97
            else collection_ops.delete_all(key, FIELDS)
        )

    def _choose_timed(self, key: bytes) -> Op:
        will = self.will
        lot = will.random()
        field = will.pick(FIELDS)
        if lot < 0.2:
            return collection_ops.hset(key, field, self._value(key), will.between(100, 5_000))
        if lot < 0.4:
            return collection_ops.hset(key, field, self._value(key))
        if lot < 0.6:
            return collection_ops.hget(key, field)
        if lot < 0.8:
            return collection_ops.hgetall(key, FIELDS)
        return collection_ops.hpexpire(key, field, will.between(100, 5_000) if lot < 0.93 else 0)

    def _choose_score(self, key: bytes) -> Op:
        will = self.will
        lot = will.random()
        member = will.pick(MEMBERS)
        if lot < 0.4:
            self.written += 1
            score = b"%d%b" % (self.written, self.name[1:].encode())
            return collection_ops.zadd(key, member, score)
        if lot < 0.6:
            return collection_ops.zscore(key, member)
        if lot < 0.82:
            return collection_ops.zrange(key, MEMBERS)
        if lot < 0.97:
            return collection_ops.removal(b"ZREM", key, [member])
        return collection_ops.delete_all(key, MEMBERS)

    def _choose_item(self, key: bytes, is_queue: bool) -> Op:
        will = self.will
        lot = will.random()
        line = self.world.history.line(key)
        is_source = key == line.source
        if lot < 0.15:
            return list_ops.show(key)
        if is_source and lot < 0.6:
            items = [self._value(key) for _ in range(will.between(1, 3))]
            op = list_ops.push(will.pick((b"RPUSH", b"LPUSH")), key, items)
            line.push(op, items)
            return op
        if is_queue and lot < 0.63:
            op = list_ops.delete(key)
        elif is_source and not is_queue:
            op = list_ops.move(key)
        elif lot < 0.75:
            wait_ms = will.between(1, self.world.plan.request_timeout_ms)
            op = list_ops.wait(key, wait_ms, self.world.plan.request_timeout_ms)
        else:
            op = list_ops.pop(will.pick((b"LPOP", b"RPOP")), key, will.pick((0, 0, 0, 1, 2)))
        line.take(op)
        return op

    def _choose_entry(self, key: bytes) -> Op:
        will = self.will
        lot = will.random()
        log = self.world.history.log(key)
        given = log.given()
        consumer = self.name.encode()
        if key not in self._begun:
            self._begun.add(key)
            return stream_ops.create(key)
        if lot < 0.35:
            value = self._value(key)
            op = stream_ops.add(key, value)
            log.add(op, value)
        elif lot < 0.4:
            return stream_ops.show(key)
        elif lot < 0.6 and given:
            id_ = will.pick(given)
            op = stream_ops.ack(key, id_)
            log.acknowledge(op, id_)
        elif lot < 0.9:
            op = stream_ops.read(key, consumer, will.between(1, 3))
            log.take(op)
        else:
            op = stream_ops.claim(key, consumer, will.between(1, 3))
            log.take(op)
        return op

    def _choose_count(self, key: bytes, kind: str) -> Op:
        will = self.will
        lot = will.random()
        field = will.pick(COUNTERS)
        tally = self.world.history.tally(key, field)
        if lot < 0.6:
            by = will.between(1, _MOST)
            increment = (
                collection_ops.zincrby if kind == "points" else collection_ops.hincrby
            )
            op = increment(key, field, by)
            tally.add(op, by)
            return op
        if kind != "tally" or lot < 0.92:
            name = b"ZSCORE" if kind == "points" else b"HGET"
            return collection_ops.tallied(name, key, field)
        op = collection_ops.untally(key, field)
        tally.reset(op)
        return op


def judge_end(world: World, key: bytes, kind: str, shown: Op, asked_us: int) -> bool:
    """Whether a key has anything in the end; raises `Wrong` if that cannot be."""
    history = world.history
    if kind in OF_COUNTER:
        assert isinstance(shown.result, dict)
        for field in COUNTERS:
            history.judge_last_sum(key, field, shown.result.get(field, 0), asked_us)
        return bool(shown.result)
    if kind in OF_LIST:
        assert isinstance(shown.result, list)
        history.judge_line_end(key, shown.result)
        return bool(shown.result)
    if kind == STREAM:
        assert isinstance(shown.result, list)
        record = record_of(world, key)
        history.judge_log_end(key, shown.result, record)
        return bool(record) and codec.is_live(record)
    for part in shown.parts:
        if kind in OF_SET:
            history.judge_member_end(part.key, part.is_shown, world.now_us)
        else:
            history.judge_end(part.key, part.read or (), asked_us, world.now_us, False)
    return any(part.is_shown or part.read for part in shown.parts)


def record_of(world: World, key: bytes) -> bytes:
    """What an owner has of a key; in the end all have the same."""
    name = locator(0, key)
    nodes = [host.node for host in world.hosts if host.node is not None]
    return next(
        node.replica.get(name) for node in nodes if node.this.plans[slot_of_locator(name)].is_owner
    )


def answers(op: Op) -> object:
    """What was answered of a whole key, to be compared."""
    if op.parts:
        return [(part.is_shown, part.read) for part in op.parts]
    return op.result


# ---- all that there is ----

def strings_of(world: World) -> list[bytes]:
    """All keys with strings that any client ever used."""
    return sorted(key for key in world.history.keys if not collection_ops.is_element(key))


def collections_of(world: World) -> list[tuple[bytes, str]]:
    """All keys that hold collections, and of which kind."""
    return [(key.encode(), kind) for key, kind in world.plan.collections]


def readers_of(world: World, terms: tuple[bytes, ...] = ()) -> list[Callable[[], Op]]:
    """Read each string, then each collection."""
    return [
        *(partial(operations.getctx, key, terms) for key in strings_of(world)),
        *(partial(whole, key, kind, terms) for key, kind in collections_of(world)),
    ]
