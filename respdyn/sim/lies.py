"""A traitor: a member that, besides what its node says, says what cannot be.

Its own node is honest, so its copies count; what it adds are frames of its own making to other
members, malformed and extreme: numbers at their ends, locators of no slot, damaged records, claims
of dots that no node has minted, proofs of nothing, statements of nonsense, questions without end,
forwarded commands that are cut short. Each must cost no more than the link on which it came: the
others keep all promises.

Not among them: what a member *may* say and mean ill by, such as a deletion (docs/security.md). So
everything here is made to be refused, and claims are far beyond the margin of `cluster/ends`.

Such a frame carries no number and acknowledges nothing: the frames of the honest node beside it
are counted as if it had not been.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from respdyn.causal.codec import BIG, ELEMENTS, encode_plain, encode_tombstone, seal
from respdyn.causal.parts import flat
from respdyn.cluster.messages import (
    ENVELOPE,
    FLAG_CANNOT_STORE,
    GOSSIP_CANDIDATES,
    GOSSIP_CLEARED,
    GOSSIP_ENDS,
    GOSSIP_LIBRARY,
    GOSSIP_MOVED,
    GOSSIP_OFFER,
    GOSSIP_RING,
    GOSSIP_SCRIPT,
    GOSSIP_STATE,
    GOSSIP_USER,
    GOSSIP_VOTE,
    GOSSIP_WAITS,
    HEADER,
    IN_FEEDBACK,
    NUMBER,
    POSITION,
    PROTOCOL_VERSION,
)
from respdyn.node import Node
from respdyn.resp.replies import array, bulk
from respdyn.ring.hashing import SLOTS, Locator, locator_in, slot_of_locator
from respdyn.sim.chance import Chance
from respdyn.sim.host import UP, Host
from respdyn.sim.network import OPEN
from respdyn.sim.world import World

EXTREMES: Final = (
    0, 1, -1, 2, 15, 16, 63, 64, 255, 256, 16383, 16384, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**53, 2**56, 2**62, 2**63 - 1, -(2**63), 2**64 - 1,
)
_VERIFY, _FEEDBACK, _STORE, _DIFFER, _FORWARD, _ASK, _GOSSIP = 0, 1, 2, 3, 4, 6, 8
_SECTIONS: Final = 9
_TOO_MANY: Final = 32_769           # intervals
# Words of forwarded commands that only nodes say (`coordination/inbound`).
_GROUP, _SCRIPT, _HOLD, _COMMIT = b"EXEC", b"EVAL", b"HOLD", b"COMMIT"

Lie = tuple[int, list[bytes]]       # the section, and what one entry in it consists of


class Traitor:
    """Has one machine of a world lie to the others, until `stop`."""

    def __init__(self, world: World) -> None:
        self.is_over = False
        self._world = world
        self._chance = Chance(world.plan.seed, "lies")
        self._host: Host | None = None

    def start(self) -> None:
        """Begin."""
        if self._world.plan.traitor:
            self._host = self._chance.pick(self._world.hosts)
            self._next()

    def _next(self) -> None:
        wait_ms = self._chance.wait(self._world.plan.fault_every_ms)
        self._world.after(1_000 * wait_ms, self._lie, None)

    def _lie(self, _: None) -> None:
        if self.is_over:
            return
        host, world = self._host, self._world
        assert host is not None
        others = [each for each in world.hosts if each is not host]
        if host.state == UP and host.node is not None and others:
            victim = self._chance.pick(others)
            for connection in world.network.connections:
                if (
                    connection.source is host and connection.target is victim
                    and connection.state == OPEN
                ):
                    lie = frame(self._chance, host.node, victim.settings.node_id)
                    world.network.send(connection, lie)
                    world.count("lies")
                    if world.story is not None:
                        world.note("harm", f"{host.name} lies to {victim.name}")
                    break
        self._next()


def frame(chance: Chance, node: Node, victim: str) -> bytes:
    """A frame from a node to another that can only be refused."""
    section, items = chance.pick(_LIES)(chance, node, victim)
    counts = [0] * _SECTIONS
    counts[section] = 1
    if chance.happens(0.05):
        counts[chance.below(_SECTIONS)] = 2**32 - 1
    link = node.link_to(victim)
    flags = 0 if node.receiver.can_store else FLAG_CANNOT_STORE
    header = HEADER.pack(
        PROTOCOL_VERSION, flags, link.epoch, 0, 0, 0, 0, 0, node.now_ms, link.peer_now_ms, 0,
        *counts,
    )
    return array([bulk(item) for item in (header, *items)])


# ---- what no node can have seen ----


def _actor(chance: Chance, node: Node) -> bytes:
    """An actor that is known here; now and then one that no node had."""
    known = sorted(node.this.ends.highest)
    if not known or chance.happens(0.1):
        return bytes(chance.below(256) for _ in range(16))
    return chance.pick(known)


def _locator(chance: Chance, node: Node) -> Locator:
    """Of a key that is here, or of another."""
    slot = chance.below(SLOTS)
    full = [each for each, table in enumerate(node.replica.slots) if table]
    if full and chance.happens(0.8):
        return chance.pick(sorted(node.replica.slots[chance.pick(full)]))
    return locator_in(slot, 0, b"lie")


def _top(chance: Chance) -> int:
    return chance.pick((2**48, 2**50 + chance.below(1000), 2**51))


def _claim(chance: Chance, node: Node, victim: str) -> Lie:
    """A record that covers dots that a node has yet to mint."""
    rows = {_actor(chance, node) for _ in range(chance.between(1, 3))}
    record = encode_tombstone(b"".join(
        actor + bytes(8) + _top(chance).to_bytes(8, "big") for actor in sorted(rows)
    ))
    if chance.happens(0.3):
        top = _top(chance)
        clock = node.this.now.wall_ms << 16
        record = encode_plain(clock, _actor(chance, node), top - 1, top, 0, b"lie")
    if chance.happens(0.2):
        return _DIFFER, [POSITION.pack(1, IN_FEEDBACK, 0), record]
    return chance.pick((_FEEDBACK, _STORE)), [_locator(chance, node), record]


def _cleared(chance: Chance, node: Node, victim: str) -> Lie:
    """A cleared context of the same: announced, to be raised, to be kept, and handed over."""
    width = node.replica.width
    partition = chance.below(SLOTS // width)
    actor, top = _actor(chance, node), _top(chance)
    entries = [(0, partition, {actor: top})]
    name = bytes([128, 0, partition >> 8, partition & 255])
    wall_ms = node.this.now.wall_ms
    return chance.pick((
        (_GOSSIP, [GOSSIP_CLEARED + msgspec.msgpack.encode(entries[0])]),
        (_ASK, [_question("clear", entries)]),
        (_ASK, [_question("clearhint", victim, entries)]),
        (_ASK, [_question("deliver", [(name, wall_ms, actor + top.to_bytes(8, "big"))])]),
    ))


def _proof(chance: Chance, node: Node, victim: str) -> Lie:
    """A proof that proves nothing, of what would have to be believed."""
    level = chance.pick((600, 608, 609, 65_534))
    return _GOSSIP, [GOSSIP_ENDS + _actor(chance, node) + level.to_bytes(2, "big") + bytes(16)]


def _future(chance: Chance, node: Node, victim: str) -> Lie:
    """A value that was written in a time to come, and would win for ever."""
    clock = chance.pick((2**62, 2**63, 2**64 - 1))
    record = encode_plain(clock, node.identity.actor, 0, 1, 0, b"lie")
    return chance.pick((_FEEDBACK, _STORE)), [_locator(chance, node), record]


def _intervals(chance: Chance, node: Node, victim: str) -> Lie:
    """A record of more intervals than a node will look through."""
    rows = b"".join(
        node.identity.actor + (2 * at).to_bytes(8, "big") + (2 * at + 1).to_bytes(8, "big")
        for at in range(_TOO_MANY)
    )
    return _STORE, [_locator(chance, node), encode_tombstone(rows)]


# ---- what means nothing ----


def _damaged(chance: Chance, node: Node, victim: str) -> Lie:
    """A real record with a byte wrong, or cut short."""
    locator = _locator(chance, node)
    table = node.replica.slots[slot_of_locator(locator)]
    held = [record for name, record in table.items() if name == locator]
    record = held[0] if held else encode_tombstone(b"")
    at = chance.below(len(record))
    broken = record[:at] + bytes([record[at] ^ 1 << chance.below(8)]) + record[at + 1 :]
    return chance.pick((_FEEDBACK, _STORE)), [locator, chance.pick((broken, record[:at]))]


def _nowhere(chance: Chance, node: Node, victim: str) -> Lie:
    """A locator of no slot or database."""
    name = chance.pick((
        b"", b"\x00", b"\x00\x00", b"\x40" + b"a" * 20, b"\x00\x00\x10k", b"\x42\x00",
        b"\xff\xff\x00",
    ))
    section = chance.pick((_VERIFY, _FEEDBACK, _STORE))
    return section, [name, b"" if section == _VERIFY else encode_tombstone(b"")]


def _statement(chance: Chance, node: Node, victim: str) -> Lie:
    """A statement of nonsense."""
    extreme = chance.pick(EXTREMES)
    return _GOSSIP, [chance.pick((
        b"",
        GOSSIP_RING + b"\x02\xc1",
        GOSSIP_STATE + msgspec.msgpack.encode((1, [-1], [], [], 0)),
        GOSSIP_STATE + msgspec.msgpack.encode((2**64 - 1, [2**40])),
        GOSSIP_MOVED + msgspec.msgpack.encode({victim: ("\n", extreme)}),
        GOSSIP_CANDIDATES + msgspec.msgpack.encode([[extreme]]),
        GOSSIP_CLEARED + msgspec.msgpack.encode((chance.pick((16, -1, 2**63)), 0, {})),
        GOSSIP_CLEARED + msgspec.msgpack.encode((0, SLOTS, {b"a" * 16: 1})),
        GOSSIP_USER + b"\xc1",
        GOSSIP_LIBRARY + b"\xc1",
        GOSSIP_SCRIPT + msgspec.msgpack.encode((chance.pick((0, -1, 2**64 - 1)), None)),
        GOSSIP_WAITS + bytes(chance.below(20) + 1),
        GOSSIP_OFFER + bytes(chance.below(8)),
        GOSSIP_VOTE + msgspec.msgpack.encode([extreme, [extreme, extreme]]),
    ))]


def _question(*parts: object) -> bytes:
    return NUMBER.pack(1) + msgspec.msgpack.encode(list(parts))


def _endless(chance: Chance, node: Node, victim: str) -> Lie:
    """A question about what does not exist, or that would never end."""
    huge = chance.pick((2**62, 2**63 - 1, 2**64 - 1))
    return _ASK, [chance.pick((
        _question("scan", 0, 0, 0, huge, 10), _question("scan", 0, -1, 0, SLOTS, 10),
        _question("scan", 99, 0, 0, SLOTS, 10), _question("count", huge),
        _question("explain", b""), _question("digests", [b"\xff\xff\x00k"]),
        _question("listening", 7, b"*"), _question("tops", [0], [-3]),
        _question("keys", huge, [0], 0, 0), _question("pull", [-1], 0, 0),
        _question("vow", 1, [(SLOTS, 5)]), _question("drop", 0, 1, 1, [(b"", b"")]),
        _question("deliver", [(b"\x80", 1, b"")]), b"123", NUMBER.pack(1) + b"\xc1",
        _question("compare", b"\xff\xff\x00k", []), _question("piece", b"", b""),
        _question("give", victim, SLOTS, []), _question("texts", [huge]),
    ))]


def _forwarded(chance: Chance, node: Node, victim: str) -> Lie:
    """A command that is cut short, or of no database, or passed on by no node."""
    size, db, hops = chance.pick(((1, 0, 1), (3, 99, 1), (3, 0, 0), (2**32 - 1, 0, 1), (0, 0, 1)))
    envelope = ENVELOPE.pack(7, db, 2, hops, 1, 1, 1, 1000, 1000, size)
    return _FORWARD, [envelope, *([b"SET", b"key:0", b"lie"] if size == 3 else [b"SET"])]


def _script(chance: Chance, node: Node, victim: str) -> Lie:
    """A script, keys to hold, or what to write to them, that cannot be."""
    extreme = chance.pick(EXTREMES)
    nowhere = chance.pick((b"", b"\x00", b"\xff\xff\x00k"))
    word, body = chance.pick((
        (_SCRIPT, ("", None, [b"k"], [], 99, False, 1, 1)), (_SCRIPT, ("", 1, [], [])),
        (_HOLD, (extreme, [nowhere], 1, 1, True, 1, True)), (_HOLD, (1, [], 1, 1, True, 1, True)),
        (_HOLD, (1, [b"\x00\x00\x00k"], 1, 1, True, 2**32, True)),
        (_COMMIT, (1, 0, True, [])), (_COMMIT, (1, 1, True, [extreme])), (_GROUP, ([], [], 1)),
        (_GROUP, ([], [(nowhere, b"")], 1)),
    ))
    packed = chance.pick((msgspec.msgpack.encode(body), b"\xc1", b""))
    return _FORWARD, [ENVELOPE.pack(7, 0, 2, 1, 1, 1, 1, 1000, 1000, 2), word, packed]


def _elements(chance: Chance, node: Node, victim: str) -> Lie:
    """An element map whose head says something else than its contents, sealed anew."""
    maps = [
        (name, record) for table in node.replica.slots for name, record in table.items()
        if record[1] & ELEMENTS
    ]
    if not maps:
        return _damaged(chance, node, victim)
    name, record = chance.pick(sorted(maps))
    record = flat(record)
    at = chance.between(14, 22)         # its mark
    body = record[6:at] + bytes([record[at] ^ 1 << chance.below(8)]) + record[at + 1 :]
    form = record[1] | chance.pick((0, BIG))
    return chance.pick((_FEEDBACK, _STORE)), [name, seal(form, body)]


_LIES: Final[tuple[Callable[[Chance, Node, str], Lie], ...]] = (
    _claim, _claim, _claim, _claim, _cleared, _cleared, _cleared, _proof, _future, _damaged,
    _nowhere, _statement, _endless, _forwarded, _intervals, _script, _elements,
)
