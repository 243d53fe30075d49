"""Nonsense about every type: what clients say, payloads of RESTORE, records, what a disk gives.

Beside `surfaces`, where a surface is explained. What is changed here gets its checksum anew, so
that the code behind the checksum has to judge it.
"""

from __future__ import annotations

import random
from typing import Final
from zlib import crc32

from respdyn.causal.codec import (
    BIG,
    ELEMENTS,
    HEAD_BYTES,
    VERSION,
    digest,
    is_live,
    join_records,
    max_clock,
    verify,
)
from respdyn.causal.parts import fitting, flat
from respdyn.commands.table import TABLE
from respdyn.config_values import ConfigError
from respdyn.errors import DamagedError
from respdyn.sim.lies import EXTREMES
from respdyn.types import dump as dumps
from respdyn.types import values
from tests.commands import (
    element_stories,
    key_stories,
    list_stories,
    score_stories,
    stories,
    stream_stories,
)
from tests.fuzz.mangling import mangled
from tests.little import Client, Little

# What makes a key of each type, small and in another form where it has one.
MAKING: Final = (
    "SET str value", "SET num 17", "INCRBY cnt 5", "SETRANGE lng 3000 x", "PFADD hll a b c d",
    "RPUSH lst a b 3", "SADD set a b c", "SADD ints 1 2 300 70000", "HSET hsh a 1 b two",
    "HINCRBY hsh n 4", "ZADD zst 1 a 2.5 b -inf c", "GEOADD geo 13.4 52.5 Berlin",
    "XADD stm 1-1 a 1", "XADD stm 2-1 b 2", "XGROUP CREATE stm g 0",
    "XREADGROUP GROUP g me STREAMS stm >", "SET tmp v EX 1000", "DYN.PUTCTX sib  one",
    "DYN.PUTCTX sib  two",
)
_LARGE: Final = (("SADD", "bset", "m{}"), ("HSET", "bhsh", "f{} v{}"), ("RPUSH", "blst", "e{}"),
                 ("ZADD", "bzst", "{} m{}"), ("XADD", "bstm", "{}-1 f v{}"))
KEYS: Final = (
    "str", "num", "cnt", "lng", "hll", "lst", "set", "ints", "hsh", "zst", "geo", "stm", "tmp",
    "sib", "bset", "bhsh", "blst", "bzst", "bstm",
)
LOOKING: Final = (
    "TYPE {}", "OBJECT ENCODING {}", "GET {}", "STRLEN {}", "PFCOUNT {}", "LRANGE {} 0 -1",
    "SMEMBERS {}", "SRANDMEMBER {} 3", "HGETALL {}", "ZRANGE {} 0 -1 WITHSCORES", "XRANGE {} - +",
    "XINFO STREAM {} FULL", "XINFO GROUPS {}", "XPENDING {} g", "LPOP {}", "SPOP {}", "ZPOPMIN {}",
    "HSET {} new 1", "SADD {} new", "RPUSH {} new", "ZADD {} 1 new", "XADD {} * f v", "INCR {}",
    "XREADGROUP GROUP g me STREAMS {} >", "XAUTOCLAIM {} g me 0 0", "SORT {} ALPHA",
    "COPY {} other", "DYN.GETCTX {}", "DYN.EXPLAIN {}", "DEL {}",
)
# A node that ends, or stops reading, or a client that is sent what others do.
_LEFT_OUT: Final = frozenset((
    b"SHUTDOWN", b"MONITOR", b"DEBUG", b"CLIENT", b"CONFIG", b"QUIT", b"HELLO", b"AUTH", b"ACL",
    b"RESET", b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"WAIT", b"REPLCONF", b"SYNC", b"PSYNC",
    b"DYN.CLUSTER", b"CLUSTER", b"FLUSHALL", b"FLUSHDB", b"SWAPDB",
))
_SIZE_LARGE: Final = 300


def made(client: Client) -> None:
    """Keys of all types."""
    for line in MAKING:
        client(*line.split(" "))
    for name, key, words in _LARGE:
        for number in range(1, _SIZE_LARGE):
            client(name, key, *words.format(number, number).split(" "))


def _story_commands() -> list[list[bytes]]:
    """All commands of the stories of the other tests, in words."""
    found: dict[tuple[bytes, ...], None] = {}
    for module in (
        element_stories, key_stories, list_stories, score_stories, stories, stream_stories
    ):
        for each in vars(module).values():
            if not isinstance(each, dict):
                continue
            for line in " / ".join(map(str, each.values())).split(" / "):
                words = tuple(word.encode() for word in line.split(" "))
                if words[0].upper() in TABLE and words[0].upper() not in _LEFT_OUT:
                    found[words] = None
    return [list(words) for words in found]


class Commands:
    """What clients say, with other words in it, of keys of every type; at one node or three."""

    def __init__(self, nodes: int) -> None:
        self.story_commands = _story_commands()
        self.nodes = nodes
        self.count = 0
        self._begin()

    def _begin(self) -> None:
        little = Little(self.nodes, proto_max_bulk_len=1 << 20)
        if self.nodes == 1:
            little.run(20)
        else:
            little.ready()
        self.little, self.client = little, little.client("A")
        self.other = little.client("A" if self.nodes == 1 else "B")
        made(self.client)
        reply = self.client("DYN.GETCTX", "sib")
        self.token = reply[0] if isinstance(reply, list) else b""

    def word(self, rng: random.Random) -> bytes:
        """One that may stand anywhere."""
        lot = rng.random()
        if lot < 0.3:
            return rng.choice(KEYS).encode()
        if lot < 0.6:
            number = rng.choice(EXTREMES)
            return rng.choice((b"%d", b"-%d", b"(%d", b"%d-1", b"%d.5", b"+%d", b"#%d")) % number
        if lot < 0.7:
            return mangled(rng, self.token)
        if lot < 0.9:
            words = rng.choice(self.story_commands)
            return rng.choice(words)
        return rng.choice((
            b"", b"\x00", b"-inf", b"+inf", b"nan", b"1e400", b"*", b"$", b">", b"-", b"+", b"[a",
            b"(", b"0x10", b"x" * 300, b"\xff\xfe", b"{", b"{}", b"[" * 50, b"1" * 400,
        ))

    def say(self, rng: random.Random) -> None:
        """One command, changed; now and then in a transaction or a script."""
        words = list(rng.choice(self.story_commands))
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = rng.randrange(len(words)) if len(words) == 1 or rng.random() < 0.05 else (
                rng.randrange(1, len(words)))
            lot = rng.random()
            if lot < 0.6:
                words[at] = self.word(rng)
            elif lot < 0.75:
                words.insert(at + 1, self.word(rng))
            elif lot < 0.85 and len(words) > 1:
                del words[at]
            else:
                words[at] = mangled(rng, words[at])
        if words[0].upper() in _LEFT_OUT:
            return
        lot = rng.random()
        client = self.client
        if lot < 0.1:
            script = b"return redis.pcall(unpack(ARGV))"
            self._ask(client, b"EVAL", script, b"1", words[min(1, len(words) - 1)], *words)
        elif lot < 0.2:
            self._ask(client, b"MULTI")
            self._ask(client, *words)
            self._ask(client, b"EXEC")
        else:
            self._ask(client, *words)
        self.count += 1
        if self.count % 50 == 0:
            if self.other("PING") != b"PONG":
                raise AssertionError("others are not served")
            made(self.client)

    def _ask(self, client: Client, *words: bytes) -> None:
        """Say it; who waits for a key for long is let go, as by closing the connection."""
        client.send(*words)
        for _ in range(200):
            client._reader.feed(client.session.take())
            if client._reader.gets() is not False:
                return
            self.little.step()
        client.node.close_session(client.session)
        self.client = self.little.client("A")


class Restores:
    """DUMP's payloads of every type, changed, with a checksum that is right, given to RESTORE."""

    def __init__(self) -> None:
        little = Little(1)
        little.run(20)
        self.client = client = little.client("A")
        made(client)
        payloads = [client("DUMP", key) for key in KEYS]
        self.packed = [
            dumps.unseal(payload) for payload in payloads if isinstance(payload, bytes)
        ]
        self.packed += REDIS_FORMS

    def say(self, rng: random.Random) -> None:
        """One changed payload; what it has become is looked at, whatever type it is."""
        packed = mangled(rng, rng.choice(self.packed))
        if rng.random() < 0.2:
            packed = bytes([rng.randrange(22)]) + packed[1:]
        payload = dumps.seal(packed)
        if rng.random() < 0.1:
            payload = mangled(rng, payload)
        client = self.client
        if client("RESTORE", "r", "0", payload, "REPLACE") == b"OK":
            for _ in range(4):
                client(*rng.choice(LOOKING).format("r").split(" "))
            again = client("DUMP", "r")
            if isinstance(again, bytes) and client("RESTORE", "r2", 0, again, "REPLACE") != b"OK":
                raise AssertionError("DUMP gave what RESTORE refuses")
        assert client("PING") == b"PONG"


def _listpack(*items: bytes) -> bytes:
    """Redis's compact list, of short strings."""
    body = b"".join(bytes([0x80 | len(item)]) + item + bytes([len(item) + 1]) for item in items)
    return (7 + len(body)).to_bytes(4, "little") + len(items).to_bytes(2, "little") + body + b"\xff"


def _ziplist(*items: bytes) -> bytes:
    """Redis's older compact list, of short strings."""
    body, before, tail = b"", 0, 10
    for item in items:
        tail = 10 + len(body)
        body += bytes([before, len(item)]) + item
        before = len(item) + 2
    return (
        (11 + len(body)).to_bytes(4, "little") + tail.to_bytes(4, "little")
        + len(items).to_bytes(2, "little") + body + b"\xff"
    )


def _packed(number: int, content: bytes) -> bytes:
    return bytes([number]) + dumps.pack_string(content)


# Forms in which Redis writes values and DUMP here does not.
REDIS_FORMS: Final = [
    _packed(16, _listpack(b"f", b"v", b"g", b"w")), _packed(17, _listpack(b"m", b"1", b"n", b"2")),
    _packed(20, _listpack(b"m", b"n")), _packed(13, _ziplist(b"f", b"v")),
    _packed(12, _ziplist(b"m", b"1")), _packed(10, _ziplist(b"a", b"b")),
    _packed(11, b"\x02\0\0\0\x02\0\0\0\x01\0\x02\0"),
    b"\x12\x01\x02" + dumps.pack_string(_listpack(b"a", b"b")),
    b"\x0e\x01" + dumps.pack_string(_ziplist(b"a", b"b")),
    b"\x00\xc3\x0b\x40\x64\x01aa\xe0\x57\x00\x01aa",
]


class Records:
    """Records of every type, changed, with a checksum that is right: refused, or sound all through.
    """

    def __init__(self) -> None:
        little = Little(1)
        little.run(20)
        made(little.client("A"))
        self.records = [
            flat(record) for table in little["A"].replica.slots for record in table.values()
        ]

    def say(self, rng: random.Random) -> None:
        """One changed record, judged as from a peer, and joined with others if it is let in."""
        good = rng.choice(self.records)
        data = changed_record(rng, good)
        try:
            verify(data)
        except DamagedError:
            return
        kept = fitting(data)
        assert flat(kept) == data or kept[1] & BIG == 0, "taken apart and put together, another one"
        values.exists(kept, 1)
        is_live(kept), max_clock(kept), digest(kept), values.ends_ms(kept)
        for other in (good, rng.choice(self.records)):
            one, two = join_records(kept, fitting(other)), join_records(fitting(other), kept)
            assert digest(one) == digest(two), "joins differ by their order"


def changed_record(rng: random.Random, record: bytes) -> bytes:
    """A record with something else in it, sealed anew."""
    form, body = record[1], mangled(rng, record[HEAD_BYTES:])
    if rng.random() < 0.1:
        form = rng.choice((form ^ 1 << rng.randrange(5), ELEMENTS | 4, 4, 5, 7))
    return bytes((VERSION, form)) + crc32(body, VERSION << 8 | form).to_bytes(4, "big") + body


class Disks:
    """What a disk gives back at start, changed: damage is counted, and the node serves."""

    def __init__(self) -> None:
        little = Little(3).ready()
        made(little.client("A"))
        little.kill("C")
        client = little.client("A")
        for number in range(400):
            client("SADD", "bset", f"x{number}")
        for number in range(5):
            client("SET", f"h{number}", "v")
        little.run(50)
        self.pairs = sorted(little.machines[0].disk.items())

    def say(self, rng: random.Random) -> None:
        """A node begun on a changed disk."""
        pairs = list(self.pairs)
        for _ in range(rng.choice((1, 1, 3))):
            at = rng.randrange(len(pairs))
            name, value = pairs[at]
            lot = rng.random()
            if lot < 0.15:
                del pairs[at]
            elif lot < 0.3:
                pairs[at] = mangled(rng, name), value
            elif lot < 0.6 and len(value) > HEAD_BYTES:
                pairs[at] = name, changed_record(rng, value)
            else:
                pairs[at] = name, mangled(rng, value)
        little = Little(1)
        machine = little.machines[0]
        machine.disk = dict(pairs)
        try:
            machine.boot(little.now_ms, little.wall_ms)
        except ConfigError as refusal:      # with seeds it would be sent the ring
            assert str(refusal).startswith("seeds (empty)")
            return
        little.run(3)
        assert little.client("A")("PING") == b"PONG"


def forwarded_words() -> list[list[bytes]]:
    """Commands between nodes that no client says so."""
    return [
        line.encode().split(b" ") for line in (
            "DYN.ITEMS lst", "DYN.LOOKUP hsh FIELD a", "DYN.STORELIST o SORTSTORE a b",
            "DYN.STORESET o SINTERSTORE a b", "DYN.LMOVE lst lst LEFT RIGHT", "DYN.LPEEK lst LEFT",
            "DYN.LPLACE lst LEFT a b", "DYN.LTAKE lst LEFT p d", "DYN.LMPOP lst LEFT 2",
            "DYN.PFGET hll", "DYN.PFMERGE hll v", "DYN.SCORES zst",
            "DYN.STOREZSET o ZUNIONSTORE a 1", "DYN.GEOSCORES geo GEORADIUS 13 52 100 km",
            "DYN.PLACE o payload", "DYN.TAKE str ctx RENAME_FROM", "DYN.XREAD stm 0-0 10",
            "DYN.XLAST stm", "DYN.XCHECK stm g >", "DYN.XREADGROUP stm g > me 10 WAITED ACK",
            "DYN.FETCH str", "DYN.GETCTX str",
        )
    ]
