"""Deliberate bugs of how tombstones are collected; as in `mutants`."""

from typing import Any

from respdyn.cluster.questions import Promise
from respdyn.node import Node
from respdyn.replication.collection import Collection, Name, Promised
from respdyn.replication.tombstones import GarbageIndex
from respdyn.types import values
from tests.sim.bugs import Bug, keys


class Collecting(Node):
    """A node with another way to collect tombstones."""

    collection_class = Collection

    def make_collection(self) -> Collection:
        return self.collection_class(self.this, self.task_runner, self.transfer, self.replan)


class CollectsWithoutTheAbsent(Collecting):
    """Owners that cannot be reached are not asked."""

    class collection_class(Collection):
        def _others(self, partition: int) -> list[str] | None:
            node = self._node
            plan = self._plan(partition)
            if plan is None or not plan.is_owner:
                return None
            return [owner for owner in plan.owners if (
                owner in node.links and node.links[owner].is_up
            )]


class CollectsWithoutTheirWord(Collecting):
    """What owners say about a tombstone is not listened to."""

    class collection_class(Collection):
        def _agreed(self, question: Promise, answers: list[Promised | None]) -> list[Name]:
            return question.names

        def _has_settled(self, locator: bytes) -> bool:
            return True


class KeepsWhatOthersForgot(Collecting):
    """An older copy of a disk is kept although tombstones were collected since."""

    class collection_class(Collection):
        def _give_up(self, partition: int, number: int) -> None:
            self._promise(partition, number)


class DropsWhatHasCovered(Collecting):
    """An expired value is dropped without a trace whatever it has written over."""

    class collection_class(Collection):
        def __init__(self, *parts: Any) -> None:
            super().__init__(*parts)
            self.garbage = DropsAll(self._node.replica)


class DropsAll(GarbageIndex):
    def _look_into(
        self, table: dict[bytes, bytes], partition: int, now_ms: int, grace_ms: int,
        limit_ms: int, over_ms: int,
    ) -> list[bytes]:
        super()._look_into(table, partition, now_ms, grace_ms, 0, 0)
        return [name for name, record in table.items() if values.is_expired(record, over_ms)]


# Tombstones are collected within the run: keys rest for long, and so do nodes that are away.
RESTING = {
    "grace_ms": 2_500, "message_ms": 0, "heartbeat_ms": 100, "failure_timeout_ms": 1_000,
    "harm_ms": 15_000,
    "keys": keys(30, "delete"), "engine": "rocksdb", "operations": 400, "pipeline": 1,
    "nodes": 3, "n": 3, "r": 2, "w": 2, "flushes": False,
}

# Values with and without a time to live follow each other, and a node that was away has the older.
ENDING = RESTING | {
    "grace_ms": 0, "message_ms": 500, "sloppy": False, "spares": 0, "leaves_one_out": False,
    "harms_early": False, "partitions": 4, "harm_ms": 8_000, "keys": keys(30, "volatile"),
    "exchange_ms": 0,
}

MUTANTS = (
    Bug(CollectsWithoutTheAbsent, RESTING | {
        "faults": ("pause", "kill", "isolate"),
    }, first=24, within=60),
    Bug(CollectsWithoutTheirWord, RESTING | {"faults": ("cut", "kill"), "exchange_ms": 0}),
    Bug(KeepsWhatOthersForgot, RESTING | {
        "faults": ("restore",), "fault_every_ms": 2_000,
    }, first=9, within=20),
    Bug(DropsWhatHasCovered, ENDING | {"faults": ("cut", "kill", "isolate")}, within=40),
)
