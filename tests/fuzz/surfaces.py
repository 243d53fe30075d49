"""What strangers, clients and peers can say, turned into nonsense that still looks like something.

Each surface is a function of a seeded source of chance: it takes something real, changes it where
it has structure (numbers become extreme, lists shorter or longer, bytes cut, spliced or flipped),
and hands it in. Only the errors that belong there may come out. Findings become inputs of a test.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from respdyn.causal.codec import HEAD_BYTES, VERSION
from respdyn.causal.context import Context
from respdyn.causal.minting import COUNTER_MAX, LEVELS, chain_of, end_of
from respdyn.causal.tokens import Seal
from respdyn.cluster.ends import Ends
from respdyn.cluster.identity import Identity
from respdyn.cluster.messages import ENVELOPE, HEADER
from respdyn.cluster.statistics import Counters
from respdyn.errors import DamagedError, PeerError
from respdyn.resp.replies import array, bulk
from respdyn.resp.requests import ProtocolError, RequestLimits, RequestReader
from respdyn.server.channel import Opener, Sealer
from respdyn.sim.lies import EXTREMES
from tests.fuzz.mangling import mangled, warped_item
from tests.fuzz.typed import (
    KEYS,
    Commands,
    Disks,
    Records,
    Restores,
    changed_record,
    forwarded_words,
    made,
)
from tests.little import Client, Dice, Little


class Peers:
    """Frames of a cluster that is used, recorded; then said once more by A to B, changed."""

    def __init__(self) -> None:
        self.little = little = Little(3).ready()
        self.frames: list[list[bytes]] = []

        def tap(source: int, target: int, items: list[bytes]) -> None:
            if (source, target) == (0, 1) and len(items) > 1:
                self.frames.append(items)

        little.tap = tap
        client = little.client("A")
        for number in range(12):
            client("SET", f"k{number}", "v")
            client("DYN.PUTCTX", f"k{number}", "", "w")
            client("INCR", f"n{number}")
            client("GET", f"k{number}")
            client("EXPIRE", f"k{number}", "100")
            client("DEL", f"k{number}")
        self._of_types(client)
        for words in (
            ("KEYS", "*"), ("DBSIZE",), ("FLUSHALL",), ("PUBLISH", "c", "m"), ("DYN.EXPLAIN", "k"),
            ("PUBSUB", "CHANNELS"), ("DYN.CLUSTER", "STATUS"), ("ACL", "SETUSER", "u", "on"),
            ("DYN.CLUSTER", "VERIFY"), ("DYN.SYNCWAIT", "100"),
        ):
            client(*words)
        client("MULTI")
        client("SET", "k1", "v")
        client("GET", "k1")
        client("EXEC")
        little.cut("A", "C")
        for number in range(6):
            client("SET", f"h{number}", "v")
        for number in range(400):
            client("SADD", "bset", f"h{number}")
        little.heal()
        little.run(1500)
        little.tap = None
        self.extra = [[ENVELOPE.pack(7, 0, 2, 1, 1, 1, 1, 1000, 1000, len(words)), *words]
                      for words in forwarded_words()]
        little.refused = []
        self.count = 0

    def _of_types(self, client: Client) -> None:
        """Keys of all types, scripts on keys of several nodes, clients that wait, and functions."""
        little = self.little
        made(client)
        both = "redis.call('sadd', KEYS[1], ARGV[1]) return redis.call('hset', KEYS[2], 'f', 1)"
        for text in ("return redis.call('incr', KEYS[1])", both):
            client("SCRIPT", "LOAD", text)
            for number in range(6):
                client("EVAL", text, "2", f"s{number}", f"t{number}", "x")
        client("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(keys) "
               "return redis.call('incr', keys[1]) end)")
        for number in range(6):
            client("FCALL", "f", "1", f"u{number}")
            waiting = little.client("A")
            waiting.send("BLPOP", f"w{number}", "0.5")
            little.run(3)
            little.client("B")("RPUSH", f"w{number}", "e")
            client("LMOVE", "lst", f"w{number}", "LEFT", "RIGHT")
            client("SUNIONSTORE", f"o{number}", "set", "ints")
            client("SORT", "lst", "ALPHA", "STORE", f"o{number}")
            client("XADD", f"x{number}", "*", "a", "1")
            client("ZUNIONSTORE", f"z{number}", "1", "zst")
            client("RENAME", f"z{number}", f"y{number}")

    def say(self, rng: random.Random) -> None:
        """One changed frame. Now and then time passes, for tasks to go on with what came."""
        little = self.little
        items = list(rng.choice(self.frames))
        for _ in range(rng.choice((0, 1, 1, 2))):
            at = rng.randrange(len(items) - 1) + 1 if len(items) > 1 else 0
            if at and _is_record(items[at]) and rng.random() < 0.7:
                items[at] = changed_record(rng, items[at])
            elif at:
                items[at] = warped_item(rng, items[at])
        if rng.random() < 0.1:
            items = self._forwarded(rng, items[0])
        fields = list(HEADER.unpack(items[0]))
        node, peer = little["B"], little.machines[0].name
        link = node.link_to(peer)
        fields[2:4] = link.peer_epoch, link.peer_number + 1
        fields[4:7] = link.epoch, link.applied, link.durable
        fields[8], fields[9] = little.now_ms, little.now_ms
        if rng.random() < 0.2:
            at = rng.choice((1, *range(5, 20)))
            fields[at] = rng.choice((0, 1, 2, 255, 2**31)) & (255 if at == 1 else 2**32 - 1)
        items[0] = HEADER.pack(*fields)
        try:
            node.frame(peer, items)
        except PeerError:
            pass
        self.count += 1
        if self.count % 20 == 0:
            little.run(5)

    def _forwarded(self, rng: random.Random, header: bytes) -> list[bytes]:
        """A forwarded command that only nodes say, changed."""
        envelope, *words = rng.choice(self.extra)
        for _ in range(rng.choice((1, 2))):
            at = rng.randrange(len(words))
            words[at] = mangled(rng, words[at]) if rng.random() < 0.5 else rng.choice((
                b"", b"%d" % rng.choice(EXTREMES), rng.choice(KEYS).encode(), b"\xff" * 24,
            ))
        if rng.random() < 0.2:
            words.pop()
        envelope = envelope[:-4] + len(words).to_bytes(4, "big")
        fields = list(HEADER.unpack(header))
        fields[11:] = [0, 0, 0, 0, 1, 0, 0, 0, 0]
        return [HEADER.pack(*fields), envelope, *words]

    def serves(self) -> None:
        """B still serves: alone, for A and C may have been talked into anything."""
        node = self.little["B"]
        assert node.drain() is not None
        assert self.little.client("B")("PING") == b"PONG"


def _is_record(item: bytes) -> bool:
    return len(item) > HEAD_BYTES and item[0] == VERSION and item[1] < 32


def tokens(rng: random.Random) -> None:
    """A token that was given, changed."""
    seal = Seal((b"k" * 32,), b"\x12\x34\x00key")
    rows = {rng.randbytes(16): (0, rng.randrange(1, 2**40)) for _ in range(rng.randrange(1, 4))}
    good = seal.encode(Context(rows))       # type: ignore[arg-type]
    token = mangled(rng, good)
    try:
        assert token in (good, b"") or seal.decode(token) is None, "a forged token was read"
    except DamagedError:
        pass


_CHAIN = chain_of(b"secret of a test")


def proofs(rng: random.Random) -> None:
    """What was proved of an actor, changed: nothing above it is believed of him afterwards."""
    identity = Identity(1000)
    identity.begin({}, Dice(1), "aa" * 20, True)
    ends = Ends(identity, lambda name, value: None, lambda: None, Counters())
    shown = rng.randrange(1, LEVELS)
    levels = sorted(rng.choices(range(1, shown + 1), k=rng.randrange(1, 4)))
    statement = b"".join(_CHAIN[0] + each.to_bytes(2, "big") + _CHAIN[each] for each in levels)
    for peer in ("", "a token", "peer"):
        try:
            ends.receive(peer, mangled(rng, statement))
        except DamagedError:
            pass
        ends.turn_ends()
    believed = int.from_bytes(ends.highest.get(_CHAIN[0], b""), "big")
    assert believed <= end_of(shown) or believed == COUNTER_MAX, "more was believed than proved"


def requests(rng: random.Random) -> None:
    """What a client sends, changed, in pieces."""
    words = [rng.randbytes(rng.randrange(20)) for _ in range(rng.randrange(1, 5))]
    data = mangled(rng, array([bulk(word) for word in words]) * 3)
    reader = RequestReader(RequestLimits(), authenticated=rng.random() < 0.8)
    try:
        while data:
            size = rng.randrange(1, 40)
            reader.feed(data[:size])
            data = data[size:]
    except ProtocolError:
        pass


def channel(rng: random.Random) -> None:
    """Sealed frames, changed on the way: what comes out is a beginning of what was sent."""
    key = b"s" * 32
    sealer = Sealer(key)
    frames = [[rng.randbytes(rng.randrange(50))] for _ in range(3)]
    data = b""
    for items in frames:
        frame = array([bulk(item) for item in items])
        data += sealer.head(frame) + frame
    opener, found = Opener(key, 1 << 20), []
    try:
        for items in opener.open(mangled(rng, data)):
            found.append(items)
    except PeerError:
        pass
    assert found == frames[: len(found)]


def surfaces() -> dict[str, Callable[[random.Random], None]]:
    """All of them by name."""
    return {
        "tokens": tokens, "proofs": proofs, "requests": requests, "channel": channel,
        "records": Records().say, "restore": Restores().say, "disks": Disks().say,
        "commands": Commands(1).say, "forwarded": Commands(3).say, "peers": Peers().say,
    }
