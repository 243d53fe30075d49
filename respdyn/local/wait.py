"""WAIT: how many copies there are of what this connection has written.

It counts copies that exist, not acknowledgements that came: it requests from the owners of each
key that this connection has written the digest of what they hold, and compares with the
coordinator's. It repeats that until enough are equal or time is up. From a connection's first WAIT
on a list of what it writes is kept, of at most `WRITTEN_MAX` keys. Before that, since a list costs
every write something, only the last key of each group of owners: what is written with the same
owners goes the same way in the same order, so an owner that has the last has them all, unless its
connection to the coordinator broke in between.

Source: Redis `replication.c` (waitCommand).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from respdyn.cluster.questions import Digests, Pause
from respdyn.cluster.tasks import Answer, Request, Task, answer_as
from respdyn.commands.arguments import INT64_MAX, integer_of, parse_integer
from respdyn.commands.declare import Argv
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import integer
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.sessions.session import WRITTEN_MAX, Session

Counting = Generator[list[Request], list[Answer], int]

_POLL_MS: Final = 20


def wait(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    wanted = parse_integer(argv[1])
    timeout_ms = integer_of(argv[2])
    if timeout_ms is None:
        raise ReplyError("ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise ReplyError("ERR timeout is negative")
    node = context.node
    is_inside = session.exec_target is not None
    if session.pending and not is_inside:
        context.router.put_back(session)
        return None
    if not node.plans:
        raise context.readiness.refusal()
    names = _waited_for(session)
    until_ms = node.now.now_ms + timeout_ms if timeout_ms else INT64_MAX
    if is_inside:           # as Redis does: in a transaction it only counts
        until_ms = 0
    task = _count(context, session, names, wanted, until_ms)
    step_ms = context.settings.request_timeout_ms
    answer_later(context, session, task, min(step_ms, timeout_ms or step_ms))
    return None


def _waited_for(session: Session) -> list[Locator]:
    """What was written since the last WAIT, and what that one has not seen stored widely enough."""
    new = list(session.written or session.last_writes.values())
    names = [*([] if session.is_met else session.waited), *new] or session.waited
    session.waited = list(dict.fromkeys(names))[-WRITTEN_MAX:]
    session.is_met = False
    session.written = {}
    session.last_writes.clear()
    return session.waited


def answer_later(context: LocalContext, session: Session, task: Task, step_ms: int) -> None:
    """Answer with what the task gives; commands behind it wait."""
    is_inside = session.exec_target is not None
    waiter = session.hold()
    if not is_inside:
        session.has_barrier = True

    def done(reply: bytes) -> None:
        if not is_inside:
            session.has_barrier = False
        waiter.fill(reply)

    context.task_runner.start_quietly(task, step_ms, done)


def _count(
    context: LocalContext, session: Session, locators: list[Locator], wanted: int, until_ms: int
) -> Task:
    """How many replicas hold all of it, once that is enough or time is up."""
    node = context.node
    while True:
        held = yield from _copies(context, locators)
        if held >= wanted:
            session.is_met = True
        if held >= wanted or node.now.now_ms >= until_ms or session.closing or node.stopping:
            return integer(held)
        yield [Pause(min(_POLL_MS, until_ms - node.now.now_ms))]


def _copies(context: LocalContext, locators: list[Locator]) -> Counting:
    """Of the key with the fewest copies, how many there are besides the coordinator's."""
    node = context.node
    plans = node.plans
    here = node.identity.node_id
    if not locators:
        up = sum(1 for link in node.links.values() if link.is_up)
        return min(up, context.n - 1)
    wanted: dict[str, list[Locator]] = {}
    for name in locators:
        for owner in plans[slot_of_locator(name)].owners:
            if owner == here or node.link_to(owner).is_up:
                wanted.setdefault(owner, []).append(name)
    answers = yield [(owner, Digests(names)) for owner, names in wanted.items()]
    reported: dict[Locator, dict[str, bytes]] = {}
    for (owner, names), answer in zip(wanted.items(), answers, strict=True):
        digests = answer_as(list[bytes], answer)
        if digests is not None and len(digests) == len(names):
            for name, digest in zip(names, digests, strict=True):
                reported.setdefault(name, {})[owner] = digest
    fewest = context.n - 1
    for name in locators:
        held = reported.get(name, {})
        first = held.get(plans[slot_of_locator(name)].coordinator)
        same = sum(1 for digest in held.values() if digest == first)
        fewest = min(fewest, max(0, same - 1))
    return fewest
