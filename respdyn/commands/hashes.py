"""The hash commands, fields' time to live aside (`field_times`).

Source: Redis `t_hash.c`; `types/hashes.py` says what concurrent changes do.
"""

from fractions import Fraction
from typing import Final

from respdyn.commands.arguments import (
    INT64_MAX,
    INT64_MIN,
    parse_integer,
    wrong_arity,
)
from respdyn.commands.declare import READ, UPDATE, WRITE, Argv, Command
from respdyn.commands.elements import (
    HASH,
    changing,
    choosing,
    is_count_with,
    looking,
    random_count,
    step,
)
from respdyn.commands.folding import all_ok
from respdyn.commands.long_reads import array_head, chosen, map_head, whole
from respdyn.commands.long_writes import naming
from respdyn.errors import ReplyError
from respdyn.resp.replies import EMPTY_ARRAY, OK, ONE, ZERO, array, bulk, bulks, integer, map_, null
from respdyn.types import counters, hashes, long_double
from respdyn.types.chance import Chance
from respdyn.types.long_double import UNIT
from respdyn.types.view import Draft, View

_OVERFLOW: Final = "ERR increment or decrement would overflow"


def hset(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    if len(argv) % 2:
        raise wrong_arity(argv[0].decode("latin-1").lower())
    draft.open()
    made = 0
    for position in range(2, len(argv), 2):
        made += hashes.value(draft, argv[position]) is None
        hashes.put(draft, argv[position], argv[position + 1])
    return integer(made)


def hmset(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    hset(argv, draft, resp3)
    return OK


def hsetnx(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    if hashes.value(draft, argv[2]) is not None:
        return ZERO
    hashes.put(draft, argv[2], argv[3])
    return ONE


def hget(argv: Argv, view: View, resp3: bool) -> bytes:
    found = hashes.value(view, argv[2])
    return null(resp3) if found is None else bulk(found)


def hmget(argv: Argv, view: View, resp3: bool) -> bytes:
    view.open()
    return array([_bulk_or_null(hashes.value(view, field), resp3) for field in argv[2:]])


def hgetall(argv: Argv, view: View, resp3: bool) -> bytes:
    return map_([(bulk(field), bulk(held)) for field, held in hashes.items(view)], resp3)


def hkeys(argv: Argv, view: View, resp3: bool) -> bytes:
    return bulks([field for field, _ in hashes.items(view)])


def hvals(argv: Argv, view: View, resp3: bool) -> bytes:
    return bulks([held for _, held in hashes.items(view)])


def hlen(argv: Argv, view: View, resp3: bool) -> bytes:
    return integer(hashes.count(view))


def hstrlen(argv: Argv, view: View, resp3: bool) -> bytes:
    found = hashes.value(view, argv[2])
    return ZERO if found is None else integer(len(found))


def hexists(argv: Argv, view: View, resp3: bool) -> bytes:
    return ZERO if hashes.value(view, argv[2]) is None else ONE


def hdel(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    return integer(sum(hashes.remove(draft, field) for field in argv[2:]))


def hincrby(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    amount = parse_integer(argv[3])
    found = hashes.value(draft, argv[2])
    old = 0 if found is None else parse_integer(found, "ERR hash value is not an integer")
    new = old + amount
    if not INT64_MIN <= new <= INT64_MAX:
        raise ReplyError(_OVERFLOW)
    hashes.add(draft, argv[2], amount * UNIT)
    return integer(new)


def hincrbyfloat(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    amount = long_double.read(argv[3])
    if amount is None:
        is_infinite = long_double.is_infinite(argv[3])
        raise ReplyError(
            "ERR value is NaN or Infinity" if is_infinite else "ERR value is not a valid float"
        )
    found = hashes.look(draft, hashes.LETTER + argv[2])
    old: Fraction | None = Fraction(0)
    if found is not None:
        old = long_double.read(found.text)
        if old is None and not long_double.is_infinite(found.text):
            raise ReplyError("ERR hash value is not a float")
    new = None if old is None else long_double.round_off(old + amount)
    if new is None:
        raise ReplyError("ERR increment would produce NaN or Infinity")
    before: int | None = 0
    if found is not None:
        before = (long_double.exact_units if found.is_counted else counters.base_units)(found.text)
    assert before is not None, "a number, as was seen above"
    after = long_double.units_of(new)
    hashes.add(draft, argv[2], after - before)
    return bulk(long_double.print_units(after))


def hrandfield(argv: Argv, view: View, resp3: bool, chance: Chance) -> bytes:
    if len(argv) == 2:
        fields = hashes.some(view, chance, 1)
        return bulk(fields[0]) if fields else null(resp3)
    count = random_count(argv[2])
    has_values = is_count_with(argv, b"WITHVALUES", count)
    if count > 0 and not has_values:
        return bulks(hashes.some(view, chance, count))
    pairs = hashes.items(view)
    if not pairs or not count:
        return EMPTY_ARRAY
    if count < 0:
        chosen = [pairs[chance.below(len(pairs))] for _ in range(-count)]
    else:
        chosen = [pairs[at] for at in chance.sample(len(pairs), count)]
    if not has_values:
        return bulks([field for field, _ in chosen])
    if resp3:
        return array([bulks(pair) for pair in chosen])
    return bulks([item for pair in chosen for item in pair])


def hscan(argv: Argv, view: View, resp3: bool) -> bytes:
    cursor, names = step(
        argv, view, lambda view: [field for field, _ in hashes.items(view)],
        lambda view: hashes.is_listpack(hashes.items(view)),
        lambda view, field: hashes.value(view, field) is not None,
    )
    shown = [item for field in names for item in (field, hashes.value(view, field) or b"")]
    return array([cursor, bulks(shown)])


def _pair(view: View, element: bytes) -> bytes:
    found = hashes.look(view, element)
    return b"" if found is None else bulk(element[1:]) + bulk(found.text)


def _field(view: View, element: bytes) -> bytes:
    return b"" if hashes.look(view, element) is None else bulk(element[1:])


def _held(view: View, element: bytes) -> bytes:
    found = hashes.look(view, element)
    return b"" if found is None else bulk(found.text)


def _random_fields(argv: Argv) -> int:
    count = random_count(argv[2])
    return 0 if is_count_with(argv, b"WITHVALUES", count) else count


def _bulk_or_null(found: bytes | None, resp3: bool) -> bytes:
    return null(resp3) if found is None else bulk(found)


_EACH: Final = "O(N) with N the number of fields that are named"
_ALL: Final = "O(N) with N the number of fields"
_VARIES: Final = ("nondeterministic_output",)
_ORDER: Final = ("nondeterministic_output_order",)

COMMANDS: tuple[Command, ...] = (
    Command(
        "hset", "HSET key field value [field value ...]",
        "Stores fields of a hash and returns how many are new; creates the hash if need be.",
        since="2.0.0", group="hash", flags="write denyoom fast", access="RW update",
        complexity=_EACH, promise="last-writer", route=WRITE, write=changing(HASH, hset),
        event="h hset", reports_siblings=True,
        long_write=naming(2, 2),
    ),
    Command(
        "hsetnx", "HSETNX key field value", "Stores a field of a hash only if it is not there.",
        since="2.0.0", group="hash", flags="write denyoom fast", access="RW insert",
        promise="per-coordinator", route=UPDATE, write=changing(HASH, hsetnx), event="h hset",
        reports_siblings=True,
    ),
    Command(
        "hmset", "HMSET key field value [field value ...]", "Is HSET with the reply OK.",
        since="2.0.0", group="hash", flags="write denyoom fast", access="RW update",
        complexity=_EACH, promise="last-writer", route=WRITE, write=changing(HASH, hmset),
        event="h hset", reports_siblings=True,
        long_write=naming(2, 2, all_ok),
    ),
    Command(
        "hget", "HGET key field", "Gives the value of a field.",
        since="2.0.0", group="hash", flags="readonly fast", access="RO access",
        promise="last-writer", route=READ, read=looking(HASH, hget),
    ),
    Command(
        "hmget", "HMGET key field [field ...]", "Gives the values of several fields.",
        since="2.0.0", group="hash", flags="readonly fast", access="RO access",
        complexity=_EACH, promise="last-writer", route=READ, read=looking(HASH, hmget),
    ),
    Command(
        "hgetall", "HGETALL key",
        "Gives all fields and values of a hash, sorted by field if they are few.",
        since="2.0.0", group="hash", flags="readonly", access="RO access", complexity=_ALL,
        tips=_ORDER, promise="last-writer", route=READ, read=looking(HASH, hgetall),
        long_read=whole(HASH, _pair, map_head),
    ),
    Command(
        "hkeys", "HKEYS key", "Gives the fields of a hash, sorted if they are few.",
        since="2.0.0", group="hash", flags="readonly", access="RO access", complexity=_ALL,
        tips=_ORDER, promise="last-writer", route=READ, read=looking(HASH, hkeys),
        long_read=whole(HASH, _field, array_head),
    ),
    Command(
        "hvals", "HVALS key", "Gives the values of a hash, in the order of their fields.",
        since="2.0.0", group="hash", flags="readonly", access="RO access", complexity=_ALL,
        tips=_ORDER, promise="last-writer", route=READ, read=looking(HASH, hvals),
        long_read=whole(HASH, _held, array_head),
    ),
    Command(
        "hlen", "HLEN key", "Returns how many fields a hash has.",
        since="2.0.0", group="hash", flags="readonly fast", access="RO",
        promise="last-writer", route=READ, read=looking(HASH, hlen),
    ),
    Command(
        "hstrlen", "HSTRLEN key field", "Gives the length of a field's value in bytes.",
        since="3.2.0", group="hash", flags="readonly fast", access="RO",
        promise="last-writer", route=READ, read=looking(HASH, hstrlen),
    ),
    Command(
        "hexists", "HEXISTS key field", "Returns whether a field is there.",
        since="2.0.0", group="hash", flags="readonly fast", access="RO",
        promise="last-writer", route=READ, read=looking(HASH, hexists),
    ),
    Command(
        "hdel", "HDEL key field [field ...]",
        "Deletes fields and returns how many there were. A field set concurrently stays.",
        since="2.0.0", group="hash", flags="write fast", access="RW delete",
        complexity=_EACH, promise="converges", route=UPDATE, write=changing(HASH, hdel),
        event="h hdel",
        long_write=naming(2),
    ),
    Command(
        "hincrby", "HINCRBY key field increment",
        "Adds to the number of a field. Concurrent increments add up.",
        since="2.0.0", group="hash", flags="write denyoom fast", access="RW access update",
        promise="converges", route=UPDATE, write=changing(HASH, hincrby), event="h hincrby",
    ),
    Command(
        "hincrbyfloat", "HINCRBYFLOAT key field increment",
        "Adds a float to the number of a field. Concurrent increments add up.",
        since="2.6.0", group="hash", flags="write denyoom fast", access="RW access update",
        promise="converges", route=UPDATE, write=changing(HASH, hincrbyfloat),
        event="h hincrbyfloat",
    ),
    Command(
        "hrandfield", "HRANDFIELD key [count [WITHVALUES]]",
        "Gives fields of a hash, chosen at random.",
        since="6.2.0", group="hash", flags="readonly", access="RO access", complexity=_ALL,
        tips=_VARIES, promise="last-writer", route=READ, read=choosing(HASH, hrandfield),
        draws=True,
        long_read=chosen(HASH, _random_fields, _field, array_head, hashes.is_numbered),
    ),
    Command(
        "hscan", "HSCAN key cursor [MATCH pattern] [COUNT count]",
        "Goes through the fields of a hash in steps.",
        since="2.8.0", group="hash", flags="readonly", access="RO access",
        complexity="O(N) for a step, with N the number of fields", tips=_VARIES,
        promise="last-writer", route=READ, read=looking(HASH, hscan),
    ),
)
