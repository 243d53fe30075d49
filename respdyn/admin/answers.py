"""Answers to peers' questions on the control path: one table says which room gives each.

A kind that is not in it comes from a newer version: it is answered with nothing before it gets here
(`cluster/tasks`).
"""

from collections.abc import Callable
from typing import Never, get_args

from respdyn.cluster import matching
from respdyn.cluster.questions import (
    Clear,
    ClearHint,
    Compare,
    Count,
    Deliver,
    Digests,
    Drop,
    Explain,
    Fetch,
    Give,
    Held,
    HintSerial,
    HintsUpto,
    Keys,
    KillScript,
    Listening,
    Mend,
    Offer,
    Piece,
    Promise,
    Pull,
    Question,
    Ran,
    Received,
    Remnants,
    Roots,
    Same,
    Scan,
    Segments,
    Sizes,
    Status,
    Texts,
    Tops,
    Vow,
)
from respdyn.cluster.tasks import Answer
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.versions import Version, version_of
from respdyn.coordination.coverage import Coverage
from respdyn.coordination.scripts import Scripts
from respdyn.replication.collection import Collection
from respdyn.replication.exchange import Exchange
from respdyn.replication.handoff import Handoff
from respdyn.replication.transfer import Transfer
from respdyn.sessions import pubsub_tasks
from respdyn.sessions.pubsub import PubSub


class Answers:
    """This node's answer to any question."""

    def __init__(
        self, node: ThisNode, coverage: Coverage, handoff: Handoff, exchange: Exchange,
        transfer: Transfer, collection: Collection, pubsub: PubSub, scripts: Scripts,
        health: Callable[[], Answer],
    ) -> None:
        self._node = node
        self._answers: dict[type[Question], Callable[[Never], Answer]] = {
            Scan: coverage.answer_scan,
            Count: coverage.answer_count,
            Tops: coverage.answer_tops,
            Clear: coverage.answer_clear,
            ClearHint: coverage.answer_clear_hint,
            Explain: self._explain,
            Digests: self._digests,
            Status: lambda question: health(),
            Listening: lambda question: pubsub_tasks.answer(pubsub, question),
            Deliver: handoff.answer,
            Held: handoff.answer_of,
            HintSerial: handoff.answer_of,
            HintsUpto: handoff.answer_of,
            Roots: exchange.answer,
            Segments: exchange.answer,
            Keys: exchange.answer,
            Fetch: exchange.answer,
            Mend: exchange.answer,
            Promise: collection.answer,
            Vow: collection.answer,
            Remnants: collection.answer,
            Drop: collection.answer,
            Same: collection.answer,
            Pull: transfer.answer,
            Offer: transfer.answer,
            Give: transfer.answer,
            Sizes: transfer.answer,
            Texts: scripts.answer_texts,
            KillScript: lambda question: scripts.kill(question.is_function),
            Ran: lambda question: scripts.ran(),
            Received: lambda question: True,
            Compare: lambda question: matching.answer(node.replica, question),
            Piece: lambda question: matching.answer(node.replica, question),
        }
        assert self._answers.keys() == set(get_args(Question)), "each kind has a room that answers"

    def answer(self, question: Question) -> Answer:
        """Of the room that this kind concerns."""
        return self._answers[type(question)](question)  # type: ignore[arg-type]

    def _explain(self, question: Explain) -> Version:
        node = self._node
        held = node.hints.find(question.locator)[0] if question.hinted else (
            node.replica.get(question.locator)
        )
        return version_of(held, node.now.wall_ms)

    def _digests(self, question: Digests) -> list[bytes]:
        replica = self._node.replica
        return [replica.digest(one) if one else b"" for one in map(replica.get, question.locators)]
