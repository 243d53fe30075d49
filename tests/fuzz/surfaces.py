"""What strangers, clients and peers can say, turned into nonsense that still looks like something.

Each surface is a function of a seeded source of chance: it takes something real, changes it where
it has structure (numbers become extreme, lists shorter or longer, bytes cut, spliced or flipped),
and hands it in. Only the errors that belong there may come out. Findings become inputs of a test.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from respdyn.causal.codec import decode, verify
from respdyn.causal.context import Context
from respdyn.causal.minting import COUNTER_MAX, LEVELS, chain_of, end_of
from respdyn.causal.tokens import Seal
from respdyn.cluster.ends import Ends
from respdyn.cluster.identity import Identity
from respdyn.cluster.messages import HEADER, NUMBER
from respdyn.cluster.statistics import Counters
from respdyn.errors import DamagedError, PeerError
from respdyn.resp.replies import array, bulk
from respdyn.resp.requests import ProtocolError, RequestLimits, RequestReader
from respdyn.server.channel import Opener, Sealer
from respdyn.sim.lies import EXTREMES
from tests.little import Dice, Little


def mangled(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few things wrong."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + rng.randbytes(rng.choice((1, 8, 24, 300))) + data[at:]
        elif kind == 3:
            data = data[:at] + data[at + rng.choice((1, 8, 32)) :]
        elif kind == 4:
            data = data[:at] + rng.choice(EXTREMES).to_bytes(9, "big", signed=True)[1:] \
                + data[at + 8 :] if rng.random() < 0.5 else data + data[:at]
        else:
            other = rng.randrange(len(data) + 1)
            data = data[: min(at, other)] + data[max(at, other) :]
    return data


def warped(rng: random.Random, value: object) -> object:
    """A decoded message with something in it replaced by another thing."""
    if rng.random() < 0.15:
        return rng.choice((
            rng.choice(EXTREMES), b"", b"\xff" * 3, None, [], {}, "", "x" * 300, True, 1.5,
            b"\x00\x00\x00k", [[]], {b"a" * 16: 2**55},
        ))
    if isinstance(value, list | tuple) and value:
        found = list(value)
        at = rng.randrange(len(found))
        lot = rng.random()
        if lot < 0.1:
            del found[at]
        elif lot < 0.2:
            found.insert(at, found[at])
        else:
            found[at] = warped(rng, found[at])
        return found
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        return {**value, warped_key(rng, key): warped(rng, value[key])}
    if isinstance(value, bytes):
        return mangled(rng, value)
    if isinstance(value, int):
        return rng.choice(EXTREMES)
    return value


def warped_key(rng: random.Random, key: object) -> object:
    return mangled(rng, key) if isinstance(key, bytes) and rng.random() < 0.5 else key


def _warped_item(rng: random.Random, item: bytes) -> bytes:
    """One item of a frame: a message in msgpack, after its kind or its number, or plain bytes."""
    for skip in (NUMBER.size, 1):
        try:
            value = msgspec.msgpack.decode(item[skip:])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        try:
            return item[:skip] + msgspec.msgpack.encode(warped(rng, value))
        except (OverflowError, TypeError, ValueError, msgspec.MsgspecError):
            break
    return mangled(rng, item)


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
        little.heal()
        little.run(1500)
        little.tap = None
        little.refused = []
        self.count = 0

    def say(self, rng: random.Random) -> None:
        """One changed frame. Now and then time passes, so that tasks go on with what they heard."""
        little = self.little
        items = list(rng.choice(self.frames))
        for _ in range(rng.choice((0, 1, 1, 2))):
            at = rng.randrange(len(items) - 1) + 1 if len(items) > 1 else 0
            if at:
                items[at] = _warped_item(rng, items[at])
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

    def serves(self) -> None:
        """B still serves: alone, for A and C may have been talked into anything."""
        node = self.little["B"]
        assert node.drain() is not None
        assert self.little.client("B")("PING") == b"PONG"


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


_CHAIN = chain_of(b"secret of nobody")


def proofs(rng: random.Random) -> None:
    """What was proved of an actor, changed: nothing above it is believed of him afterwards."""
    identity = Identity(1000)
    identity.begin({}, Dice(1), "aa" * 20, True)
    ends = Ends(identity, lambda name, value: None, lambda: None, Counters())
    shown = rng.randrange(1, LEVELS)
    levels = sorted(rng.choices(range(1, shown + 1), k=rng.randrange(1, 4)))
    told = b"".join(_CHAIN[0] + each.to_bytes(2, "big") + _CHAIN[each] for each in levels)
    for peer in ("", "a token", "peer"):
        try:
            ends.receive(peer, mangled(rng, told))
        except DamagedError:
            pass
        ends.turn_ends()
    believed = int.from_bytes(ends.highest.get(_CHAIN[0], b""), "big")
    assert believed <= end_of(shown) or believed == COUNTER_MAX, "more was believed than proved"


def records(rng: random.Random) -> None:
    """A record that a peer or a disk could give, changed: refused, or read as what it says."""
    from respdyn.causal.codec import encode_plain, encode_tombstone
    from respdyn.causal.rows import encode_rows

    record = encode_plain(rng.randrange(2**60), rng.randbytes(16), 4, 9, 0, b"value")
    if rng.random() < 0.5:
        record = encode_tombstone(encode_rows(Context({rng.randbytes(16): (0, 7, 9, 12)})))  # type: ignore[dict-item]
    data = mangled(rng, record)
    try:
        verify(data)
    except DamagedError:
        return
    decode(data)


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


class Restores:
    """DUMP's payloads, changed, given to RESTORE."""

    def __init__(self) -> None:
        little = Little(1)
        little.run(20)
        self.client = little.client("A")
        self.client("SET", "k", "some value")
        payload = self.client("DUMP", "k")
        assert isinstance(payload, bytes)
        self.payload = payload

    def say(self, rng: random.Random) -> None:
        """One changed payload."""
        self.client("RESTORE", "r", "0", mangled(rng, self.payload), "REPLACE")
        assert self.client("PING") == b"PONG"


def surfaces() -> dict[str, Callable[[random.Random], None]]:
    """All of them by name."""
    return {
        "tokens": tokens, "proofs": proofs, "records": records, "requests": requests,
        "channel": channel, "restore": Restores().say, "peers": Peers().say,
    }
