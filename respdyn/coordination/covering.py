"""Commands that concern every partition, or the cluster: which task does each.

On the client port they are of the whole cluster, on the cluster port of what this node is shown as
the primary of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from respdyn.cluster.tasks import Task
from respdyn.cluster.terms import Terms
from respdyn.commands import scan
from respdyn.commands.declare import Command
from respdyn.coordination.coverage import untag
from respdyn.local import storing
from respdyn.sessions import pubsub_tasks
from respdyn.sessions.session import Session

if TYPE_CHECKING:
    from respdyn.local.table import LocalContext


def task(
    context: LocalContext, session: Session, command: Command, argv: list[bytes], terms: Terms
) -> Task:
    """The task of it. Raises `ReplyError`."""
    node = context.node
    coverage = node.coverage
    name = command.name
    mine = None
    if session.listener == "cluster":
        slot_map = node.slot_map
        slot_map.look(node.now_ms)
        mine = slot_map.mine()
    if name == "scan":
        request = scan.parse_scan(argv)
        tag = 0
        if mine is not None:
            tag, cursor = untag(request.cursor)
            tag, mine = slot_map.mine_for(tag)
            request = replace(request, cursor=cursor)
        return coverage.scan(request, session.db, terms, mine, tag)
    if name == "keys":
        return coverage.keys(scan.parse_keys(argv), session.db, terms, mine)
    if name == "dbsize":
        return coverage.size(session.db, mine)
    if name == "randomkey":
        return coverage.random_key(
            node.random.random(), session.db, session.resp == 3, terms, mine
        )
    if name == "swapdb":
        raise storing.swapdb(argv)
    if name in ("flushdb", "flushall"):
        scan.parse_flush(argv)
        dbs = [session.db] if name == "flushdb" else list(range(16))
        return coverage.flush(dbs, terms, mine)
    if mine is not None and name.startswith("pubsub|"):
        return pubsub_tasks.task([node.identity.node_id], name, argv)
    return node.view.task(name, argv, session.db, session.resp == 3)
