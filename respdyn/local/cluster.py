"""CLUSTER, as the cluster port answers it. Who has which slots is in `sessions/topology`.

Source: Redis `cluster.c` (clusterCommand).
"""

from __future__ import annotations

from respdyn.commands.arguments import parse_integer, quoted
from respdyn.commands.declare import Argv
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, array, bulks, integer, map_, text
from respdyn.ring.hashing import SLOTS, slot_of
from respdyn.sessions.session import Session
from respdyn.types import values

_DISABLED = "ERR This instance has cluster support disabled"
_ALL = 1 << 62


def require(session: Session) -> None:
    """Raises `ReplyError` on the client port, where there is no cluster to be seen."""
    if session.listener != "cluster":
        raise ReplyError(_DISABLED)


def slots(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    return context.topology.slots(session)


def shards(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    return context.topology.shards(session)


def nodes(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    return context.topology.nodes(session)


def info(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    return context.topology.info(session.resp == 3)


def my_id(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """MYID, and MYSHARDID: a node is a shard of its own."""
    require(session)
    return text(context.node.identity.node_id)


def key_slot(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    return integer(slot_of(argv[2]))


def count_keys(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    slot = parse_integer(argv[2])
    if not 0 <= slot < SLOTS:
        raise ReplyError("ERR Invalid slot")
    return integer(len(_keys_of(context, slot, _ALL)))


def get_keys(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    slot, count = parse_integer(argv[2]), parse_integer(argv[3])
    if not 0 <= slot < SLOTS or count < 0:
        raise ReplyError("ERR Invalid slot or number of keys")
    return bulks(_keys_of(context, slot, count))


def _keys_of(context: LocalContext, slot: int, count: int) -> list[bytes]:
    """Live keys here of a slot that this node presents."""
    node = context.node
    context.slot_map.look(node.now.now_ms)
    found: list[bytes] = []
    if not context.slot_map.is_mine(slot):
        return found
    for _, _, locator, record in node.replica.walk(range(slot, slot + 1), 0, 0):
        if len(found) >= count:
            break
        if values.exists(record, node.now.wall_ms):
            found.append(locator[3:])
    return found


def count_failure_reports(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """Every node judges for itself, so the reports of others are none."""
    require(session)
    ring = context.node.ring
    name = argv[2].decode("latin-1")
    if ring is None or ring.member(name) is None:
        raise ReplyError(f"ERR Unknown node {quoted(argv[2])}")
    return integer(0)


def links(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    node = context.node
    rows = []
    for name in sorted(node.links):
        link = node.links[name]
        if not link.is_connected:
            continue
        changed_ms = link.changed_ms or context.readiness.started_ms
        since_ms = node.now.wall_ms - (node.now.now_ms - changed_ms)
        # One connection each way. That theirs stands is known once a question came back.
        for direction, events in (("to", "rw"), ("from", "r"))[: 1 + link.is_up]:
            rows.append(map_([
                (text("direction"), text(direction)), (text("node"), text(name)),
                (text("create-time"), integer(since_ms)), (text("events"), text(events)),
                (text("send-buffer-allocated"), integer(0)),
                (text("send-buffer-used"), integer(0)),
            ], session.resp == 3))
    return array(rows)


def accept(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """READONLY, READWRITE, ASKING: any node serves any key, so there is nothing to switch."""
    require(session)
    return OK
