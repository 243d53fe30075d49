"""What clients ask of collections and counters, and what the replies mean for each element.

Each member and each field is a key of its own to the oracle, `key#element`: SADD, HSET and ZADD
are a `set` of it, SREM, HDEL, ZREM, SPOP, HGETDEL a `remove`, DEL a removal of all, HPEXPIRE an
`expire`. Fields and scores are unique values, as strings are. A member of a set holds none: its
SADDs differ by a value that is not sent, and a read shows that it is there or not
(`Op.is_shown`). Increments are judged by their sums (`tallies`).
"""

from collections.abc import Iterable

from respdyn.sim.operations import (
    NOTHING,
    Op,
    expect,
    settle_delete,
    settle_get,
    settle_setnx,
)

MARK = b"#"


def element_key(key: bytes, element: bytes) -> bytes:
    """The name of an element in the history."""
    return key + MARK + element


def is_element(key: bytes) -> bool:
    """Whether a name of the history is an element's."""
    return MARK in key


def _named(op: Op) -> bytes:
    return op.key.partition(MARK)[2]


# ---- sets ----


def sadd(key: bytes, values: list[tuple[bytes, bytes]]) -> Op:
    """SADD of members, each with the value that marks this SADD among others."""
    argv = [b"SADD", key, *(member for member, _ in values)]
    parts = tuple(
        Op("set", argv, _settle_added, element_key(key, member), value) for member, value in values
    )
    return Op("set", argv, _settle_added, parts=parts)


def _settle_added(op: Op, reply: object) -> None:
    expect(isinstance(reply, int) and 0 <= reply <= len(op.parts), op, reply)


def removal(name: bytes, key: bytes, elements: list[bytes]) -> Op:
    """SREM, HDEL or ZREM."""
    argv = [name, key, *elements]
    parts = tuple(Op("remove", argv, settle_delete, element_key(key, one)) for one in elements)
    return Op("remove", argv, settle_delete, parts=parts)


def delete_all(key: bytes, elements: Iterable[bytes]) -> Op:
    """DEL of a key with all these elements."""
    argv = [b"DEL", key]
    parts = tuple(Op("remove", argv, _settle_deleted, element_key(key, one)) for one in elements)
    return Op("remove", argv, _settle_deleted, parts=parts)


def _settle_deleted(op: Op, reply: object) -> None:
    expect(reply in (0, 1), op, reply)
    for part in op.parts:
        part.was_absent = reply == 0
        part.claims = reply == 1


def spop(key: bytes, members: Iterable[bytes]) -> Op:
    """SPOP: a removal of one of the members, the reply says which."""
    argv = [b"SPOP", key]
    parts = tuple(Op("remove", argv, _settle_popped, element_key(key, one)) for one in members)
    return Op("remove", argv, _settle_popped, parts=parts)


def _settle_popped(op: Op, reply: object) -> None:
    expect(reply is None or reply in [_named(part) for part in op.parts], op, reply)
    for part in op.parts:
        part.claims = part.is_shown = reply == _named(part)
        part.was_absent = reply is None
        if not part.is_shown and not part.was_absent:
            part.outcome = NOTHING


def sismember(key: bytes, member: bytes) -> Op:
    """SISMEMBER."""
    return Op("read", [b"SISMEMBER", key, member], _settle_member, element_key(key, member))


def _settle_member(op: Op, reply: object) -> None:
    expect(reply in (0, 1), op, reply)
    op.is_shown, op.was_absent = reply == 1, reply == 0


def smismember(key: bytes, members: list[bytes]) -> Op:
    """SMISMEMBER."""
    argv = [b"SMISMEMBER", key, *members]
    parts = tuple(Op("read", argv, _settle_member, element_key(key, one)) for one in members)
    return Op("read", argv, _settle_each, parts=parts)


def _settle_each(op: Op, reply: object) -> None:
    expect(isinstance(reply, list) and len(reply) == len(op.parts), op, reply)
    assert isinstance(reply, list)
    for part, one in zip(op.parts, reply, strict=True):
        part.settle(part, one)


def smembers(key: bytes, members: Iterable[bytes], terms: tuple[bytes, ...] = ()) -> Op:
    """SMEMBERS, perhaps under DYN.WITH."""
    argv = [*_with(terms), b"SMEMBERS", key]
    parts = tuple(Op("read", argv, _settle_member, element_key(key, one)) for one in members)
    return Op("read", argv, _settle_members, parts=parts)


def _settle_members(op: Op, reply: object) -> None:
    expect(isinstance(reply, list), op, reply)
    assert isinstance(reply, list)
    known = {_named(part) for part in op.parts}
    expect(len(set(reply)) == len(reply) and known.issuperset(reply), op, reply)
    for part in op.parts:
        part.is_shown = _named(part) in reply
        part.was_absent = not part.is_shown


# ---- hashes ----


def hset(key: bytes, field: bytes, value: bytes, ttl_ms: int = 0) -> Op:
    """HSET, or HSETEX with a time to live."""
    argv = [b"HSET", key, field, value]
    if ttl_ms:
        argv = [b"HSETEX", key, b"PX", b"%d" % ttl_ms, b"FIELDS", b"1", field, value]
    return Op(
        "set", argv, _settle_hset, element_key(key, field), value, ttl_us=1_000 * ttl_ms
    )


def _settle_hset(op: Op, reply: object) -> None:
    expect(reply in (0, 1), op, reply)


def hmset(key: bytes, pairs: list[tuple[bytes, bytes]]) -> Op:
    """HSET of several fields."""
    argv = [b"HSET", key, *(word for pair in pairs for word in pair)]
    parts = tuple(
        Op("set", argv, _settle_added, element_key(key, field), value) for field, value in pairs
    )
    return Op("set", argv, _settle_added, parts=parts)


def hsetnx(key: bytes, field: bytes, value: bytes) -> Op:
    """HSETNX: a read that found nothing, and a write; or nothing."""
    argv = [b"HSETNX", key, field, value]
    return Op("set", argv, settle_setnx, element_key(key, field), value)


def hget(key: bytes, field: bytes) -> Op:
    """HGET."""
    return Op("read", [b"HGET", key, field], settle_get, element_key(key, field))


def hgetdel(key: bytes, field: bytes) -> Op:
    """HGETDEL of a field."""
    argv = [b"HGETDEL", key, b"FIELDS", b"1", field]
    return Op("remove", argv, _settle_hgetdel, element_key(key, field))


def _settle_hgetdel(op: Op, reply: object) -> None:
    expect(isinstance(reply, list) and len(reply) == 1, op, reply)
    assert isinstance(reply, list)
    settle_get(op, reply[0])
    op.claims = not op.was_absent


def hpexpire(key: bytes, field: bytes, ttl_ms: int) -> Op:
    """HPEXPIRE, or HPERSIST with 0."""
    argv = [b"HPERSIST", key, b"FIELDS", b"1", field]
    if ttl_ms:
        argv = [b"HPEXPIRE", key, b"%d" % ttl_ms, b"FIELDS", b"1", field]
    return Op("expire", argv, _settle_hpexpire, element_key(key, field), ttl_us=1_000 * ttl_ms)


def _settle_hpexpire(op: Op, reply: object) -> None:
    expect(reply in ([1], [-2]) or (not op.ttl_us and reply == [-1]), op, reply)
    if reply != [1]:
        op.outcome = NOTHING
        op.was_absent = reply == [-2]


def hgetall(key: bytes, fields: Iterable[bytes], terms: tuple[bytes, ...] = ()) -> Op:
    """HGETALL, perhaps under DYN.WITH."""
    argv = [*_with(terms), b"HGETALL", key]
    parts = tuple(Op("read", argv, settle_get, element_key(key, one)) for one in fields)
    return Op("read", argv, _settle_pairs, parts=parts)


def _settle_pairs(op: Op, reply: object) -> None:
    expect(isinstance(reply, list) and len(reply) % 2 == 0, op, reply)
    assert isinstance(reply, list)
    shown = dict(zip(reply[::2], reply[1::2], strict=True))
    known = {_named(part) for part in op.parts}
    expect(2 * len(shown) == len(reply) and known.issuperset(shown), op, reply)
    for part in op.parts:
        settle_get(part, shown.get(_named(part)))


# ---- sorted sets ----


def zadd(key: bytes, member: bytes, score: bytes) -> Op:
    """ZADD of a member with a score that no other ZADD gives."""
    argv = [b"ZADD", key, score, member]
    return Op("set", argv, _settle_hset, element_key(key, member), score)


def zscore(key: bytes, member: bytes) -> Op:
    """ZSCORE."""
    return Op("read", [b"ZSCORE", key, member], settle_get, element_key(key, member))


def zrange(key: bytes, members: Iterable[bytes], terms: tuple[bytes, ...] = ()) -> Op:
    """ZRANGE of all members with their scores, perhaps under DYN.WITH."""
    argv = [*_with(terms), b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]
    parts = tuple(Op("read", argv, settle_get, element_key(key, one)) for one in members)
    return Op("read", argv, _settle_ranked, parts=parts)


def _settle_ranked(op: Op, reply: object) -> None:
    _settle_pairs(op, reply)
    assert isinstance(reply, list)
    scores = [int(score) for score in reply[1::2]]
    expect(scores == sorted(scores), op, reply)


# ---- counters ----


def hincrby(key: bytes, field: bytes, by: int) -> Op:
    """HINCRBY; the result is the sum."""
    return Op("tally", [b"HINCRBY", key, field, b"%d" % by], _settle_sum)


def _settle_sum(op: Op, reply: object) -> None:
    expect(isinstance(reply, int), op, reply)


def zincrby(key: bytes, member: bytes, by: int) -> Op:
    """ZINCRBY; the result is the sum."""
    return Op("tally", [b"ZINCRBY", key, b"%d" % by, member], _settle_number)


def tallied(name: bytes, key: bytes, field: bytes) -> Op:
    """HGET or ZSCORE of a counter."""
    return Op("tally", [name, key, field], _settle_number)


def _settle_number(op: Op, reply: object) -> None:
    expect(reply is None or (isinstance(reply, bytes) and reply.isdigit()), op, reply)
    op.result = int(reply) if isinstance(reply, bytes) else 0


def untally(key: bytes, field: bytes) -> Op:
    """HDEL of a counter."""
    return Op("tally", [b"HDEL", key, field], _settle_hset)


def all_tallies(words: list[bytes], terms: tuple[bytes, ...] = ()) -> Op:
    """HGETALL or ZRANGE of a key with counters; the result is a dictionary."""
    return Op("tally", [*_with(terms), *words], _settle_tallies)


def _settle_tallies(op: Op, reply: object) -> None:
    expect(isinstance(reply, list) and len(reply) % 2 == 0, op, reply)
    assert isinstance(reply, list)
    op.result = dict(zip(reply[::2], map(int, reply[1::2]), strict=True))


def _with(terms: tuple[bytes, ...]) -> list[bytes]:
    return [b"DYN.WITH", *terms] if terms else []
