"""Deliberate bugs: nodes that each break one rule, to prove that the simulator can fail.

Each is a subclass of `Node`, given to the world in its place. Beside each stands which promise it
breaks, and within how many seeds, counted from 1, the simulator must notice.

Source: SEMANTICS 1-3; TigerBeetle and Antithesis on testing the test.
"""

from dataclasses import dataclass

from respdyn.causal.codec import VALUE, decode, encode
from respdyn.causal.context import Context
from respdyn.causal.dot import Actor, Stamp, intern_actor
from respdyn.causal.dotted_map import DottedMap
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.link import Link
from respdyn.cluster.messages import read_header
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Reader, ReadOp, Waiter
from respdyn.cluster.replica import META
from respdyn.engine.calls import Updating
from respdyn.node import Drained, Node


def widened(record: bytes, spans: list[tuple[Actor, int, int]]) -> bytes:
    """A record whose context covers more than it should."""
    state = decode(record)
    context = state.context
    for actor, lo, hi in spans:
        context = context.add(actor, lo, hi)
    return encode(DottedMap(state.entries, context))


class _Coordinator(Coordinator):
    """A coordinator that keeps what a bug needs."""


# ---- claims ----


class ClaimsAll(Node):
    """A new dot (actor, n) claims to cover (0, n]."""

    class _Bad(Coordinator):
        def write(
            self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
            w: int, deadline_ms: int, wants_feedback: bool,
        ) -> None:
            spans = [(actor, 0, hi) for actor, _, hi in decode(delta).context.rows()]
            delta = widened(delta, spans)
            self._replica.join(locator, delta)
            super().write(plan, waiter, reply, locator, delta, w, deadline_ms, wants_feedback)

    coordinator_class = _Bad


class ClaimsBelowFloor(Node):
    """A new dot claims from the previous one on, although that was minted in an earlier life."""

    def stamp(self) -> Stamp:
        actor, counter, _, clock = super().stamp()
        return actor, counter, 0, clock
