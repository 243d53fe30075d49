"""Staging: an operator's changes of membership, from JOIN or LEAVE to PLAN and COMMIT; and DRAIN.

The staged changes, and the plan last shown, belong to the node that took the command and live in
its memory. COMMIT proposes the ring that the plan showed (see `membership/decision`) and answers
when it is decided; `membership/ring_changes` carries it on.

Source: Riak's `cluster plan` and `cluster commit`; decision 0014.
"""

from typing import Final

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.questions import Pause, Sizes
from respdyn.cluster.tasks import Task, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import ReplyError
from respdyn.membership.membership import Membership
from respdyn.membership.ring_changes import RingChanges
from respdyn.ports import random_bits
from respdyn.resp.replies import OK, array, bulk, error, integer, map_, text
from respdyn.ring.change import Refused, Staged, commit, stage
from respdyn.ring.preview import Preview, preview
from respdyn.ring.ring import MAX_WEIGHT, Member, Ring
from respdyn.sessions.draining import GONE_S, Draining

COMMIT_MS: Final = 10_000          # until a commit gives up
DRAIN_MS: Final = 5_000            # until a drain says that something is still under way
_POLL_MS: Final = 10


class Staging:
    """What is staged here, and what becomes of it."""

    def __init__(
        self, node: ThisNode, membership: Membership, changes: RingChanges, draining: Draining,
        coordinator: Coordinator,
    ) -> None:
        self.staged: list[Staged] = []
        self._planned: tuple[int, tuple[Staged, ...]] | None = None
        self._node = node
        self._membership = membership
        self._changes = changes
        self._draining = draining
        self._coordinator = coordinator

    # ---- staging ----

    def join(self, words: list[str]) -> Task:
        """Have a node that waits become a member. Raises `ReplyError`, as do the others."""
        self._ring()
        member, n = self._visitor(words[0])
        weight, zone = _options(words[1:])
        return self._stage(Staged("join", member.node_id, member, n, weight, zone))

    def leave(self, words: list[str]) -> Task:
        """Have a member leave when it has handed over what it holds."""
        return self._stage(Staged("leave", self._member(self._ring(), words[0])))

    def replace(self, words: list[str]) -> Task:
        """Give a member's place to a node that waits."""
        ring = self._ring()
        newcomer, n = self._visitor(words[1])
        old = ring.member(self._member(ring, words[0]))
        assert old is not None
        return self._stage(Staged("replace", old.node_id, newcomer, n, old.weight))

    def force_remove(self, words: list[str]) -> Task:
        """Drop a member that does not come back."""
        return self._stage(Staged("force-remove", self._member(self._ring(), words[0])))

    def change(self, words: list[str]) -> Task:
        """Give a member another weight or zone."""
        ring = self._ring()
        weight, zone = _options(words[1:])
        if not weight and zone is None:
            raise ReplyError("ERR give WEIGHT, ZONE or both")
        return self._stage(Staged("change", self._member(ring, words[0]), weight=weight, zone=zone))

    def clear(self) -> Task:
        """Forget what is staged."""
        self._ring()
        self.staged = []
        self._planned = None
        return at_once(OK)

    def check_member(self) -> None:
        """Raises `ReplyError` unless this node is a member of a cluster."""
        self._ring()

    def _check_staged(self) -> None:
        if not self.staged:
            raise ReplyError("ERR nothing is staged")

    def _ring(self) -> Ring:
        ring = self._node.ring
        if ring is None or not self._node.is_member():
            raise ReplyError("CLUSTERDOWN this node is no member of a cluster: ask one that is")
        return ring

    def _stage(self, new: Staged) -> Task:
        try:
            self.staged = stage(self._ring(), self.staged, new)
        except Refused as why:
            raise ReplyError(f"ERR {why}") from None
        self._planned = None
        return at_once(OK)

    def _visitor(self, word: str) -> tuple[Member, int]:
        """A node that waits to be joined, by its address or the beginning of its id."""
        visitors = self._membership.visitors
        found = _find(word, [one.member for one in visitors.values()])
        if found is None:
            waiting = ", ".join(_address(one.member) for _, one in sorted(visitors.items()))
            raise ReplyError(
                f"ERR no node {word} waits to join; start it with --seeds. "
                + (f"Waiting: {waiting}" if waiting else "No node waits")
            )
        visitor = visitors[found.node_id]
        if visitor.was_member:
            raise ReplyError(
                f"ERR {word} was a member before: start it with an empty data directory"
            )
        return visitor.member, visitor.n

    def _member(self, ring: Ring, word: str) -> str:
        found = _find(word, list(ring.members))
        if found is None:
            raise ReplyError(f"ERR no member {word}; see DYN.CLUSTER MEMBERS")
        return found.node_id

    # ---- the plan ----

    def plan(self, resp3: bool) -> Task:
        """What all staged changes would do, before it is done."""
        ring = self._ring()
        self._check_staged()
        return self._plan(ring, resp3)

    def _plan(self, ring: Ring, resp3: bool) -> Task:
        node = self._node
        names = [
            one.node_id for one in ring.members
            if one.node_id == node.identity.node_id or node.link_to(one.node_id).is_up
        ]
        answers = yield [(name, Sizes()) for name in names]
        sizes: dict[int, tuple[int, int]] = {}
        for raw in answers:
            for partition, records, size in answer_as(list[tuple[int, int, int]], raw) or []:
                if records > sizes.get(partition, (0, 0))[0]:
                    sizes[partition] = (records, size)
        if node.ring is not ring:
            return error("TRYAGAIN the ring changed just now")
        following = commit(ring, self.staged, self._changes.is_up, ring.token)
        self._planned = (ring.changes, tuple(self.staged))
        shown = preview(ring, following, self.staged, self._changes.is_up, sizes)
        return self._shown(ring, following, shown, resp3)

    def _shown(self, ring: Ring, following: Ring, shown: Preview, resp3: bool) -> bytes:
        members = {one.node_id: one for one in (*ring.members, *following.members)}

        def named(pairs: list[tuple[bytes, bytes]]) -> bytes:
            return map_([(bulk(name), value) for name, value in pairs], resp3)

        return named([
            (b"ring-version", integer(ring.version)), (b"n", integer(following.n)),
            (b"changes", array([text(_shown_state(one, members)) for one in self.staged])),
            (b"moves", integer(len(shown.moves))),
            (b"records", integer(sum(move.records for move in shown.moves))),
            (b"bytes", integer(sum(move.size for move in shown.moves))),
            (b"warnings", array([text(one) for one in shown.warnings])),
            (b"nodes", array([
                named([
                    (b"node", text(row.node)), (b"address", text(_address(members[row.node]))),
                    (b"zone", text(row.zone)), (b"weight", integer(row.weight)),
                    (b"partitions", integer(row.before)), (b"then", integer(row.after)),
                    (b"coordinates", integer(row.leads_before)),
                    (b"then-coordinates", integer(row.leads_after)),
                    (b"bytes-in", integer(row.bytes_in)),
                ]) for row in shown.nodes
            ])),
            (b"partitions", array([
                array([
                    integer(move.partition), text(move.source), text(move.target),
                    integer(move.records), integer(move.size),
                ]) for move in shown.moves
            ])),
        ])

    # ---- the commit ----

    def commit(self) -> Task:
        """Do what the plan has shown."""
        ring = self._ring()
        self._check_staged()
        if self._planned != (ring.changes, tuple(self.staged)):
            raise ReplyError("ERR look at DYN.CLUSTER PLAN first: a commit does what it has shown")
        if self._changes.is_committing:
            raise ReplyError("ERR a commit is under way here")
        return self._decide(ring.changes)

    def _decide(self, changes: int) -> Task:
        node = self._node
        token = f"{random_bits(node.random, 64):016x}"
        staged = list(self.staged)
        end_ms = node.now.now_ms + COMMIT_MS
        self._changes.is_committing = True
        try:
            while True:
                ring = node.ring
                assert ring is not None
                if ring.token == token:
                    self.staged = []
                    self._planned = None
                    return OK
                if ring.changes != changes:
                    return error(
                        "CONFLICT another change was committed first: what is staged is still "
                        "staged; look at DYN.CLUSTER PLAN again"
                    )
                if node.now.now_ms >= end_ms:
                    return self._gave_up(ring)
                if not self._changes.decision.is_proposing():
                    self._changes.decision.propose(commit(ring, staged, self._changes.is_up, token))
                yield [Pause(_POLL_MS)]
        finally:
            self._changes.is_committing = False

    def _gave_up(self, ring: Ring) -> bytes:
        up = sum(self._changes.is_up(member.node_id) for member in ring.members)
        may_happen = self._changes.decision.withdraw()
        outcome = "it may still happen; see DYN.CLUSTER STATUS" if may_happen else (
            "nothing was changed"
        )
        return error(
            f"NOMAJORITY a change needs {len(ring.members) // 2 + 1} of {len(ring.members)} "
            f"members, {up} can be reached: {outcome}"
            + ("; this node has lost its votes with its disk, and learns from the others what was "
               "decided: try again in a minute" if self._changes.decision.has_forgotten else "")
        )

    # ---- draining ----

    def drain(self, words: list[str]) -> Task:
        """Let others coordinate, and wait until nothing is under way here; or take it back."""
        self._ring()
        if len(words) > 1 or (words and words[0].lower() not in ("on", "off")):
            raise ReplyError("ERR DYN.CLUSTER DRAIN takes ON or OFF")
        node = self._node
        if words and words[0].lower() == "off":
            self._draining.end()
            return at_once(OK)
        if not self._draining.is_leaving:
            node.trace.event("draining")
            self._draining.begin(GONE_S)
        return self._finish(list(self._coordinator.unfinished()))

    def _finish(self, rounds: list[object]) -> Task:
        """Wait until what was under way is answered, and the hints kept here are delivered."""
        node = self._node
        end_ms = node.now.now_ms + DRAIN_MS
        yield [Pause(_POLL_MS)]
        while node.hints.count or any(
            not one.is_done for one in rounds  # type: ignore[attr-defined]
        ):
            if node.now.now_ms >= end_ms:
                return error(
                    f"TRYAGAIN others coordinate, but {node.hints.count} hints are kept here for "
                    "nodes that cannot be reached"
                )
            yield [Pause(_POLL_MS)]
        return OK


def at_once(reply: bytes) -> Task:
    """A task without requests to other nodes."""
    yield []
    return reply


def _options(words: list[str]) -> tuple[int, str | None]:
    """WEIGHT and ZONE. Raises `ReplyError`."""
    weight, zone = 0, None
    if len(words) % 2:
        raise ReplyError("ERR syntax error")
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name.lower() == "weight":
            if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= MAX_WEIGHT:
                raise ReplyError(f"ERR a weight is a number from 1 to {MAX_WEIGHT}")
            weight = int(value)
        elif name.lower() == "zone":
            if len(value) > 255 or not value.isprintable():
                raise ReplyError("ERR a zone is a printable word of at most 255 characters")
            zone = value
        else:
            raise ReplyError("ERR syntax error")
    return weight, zone


def _address(member: Member) -> str:
    return f"{member.host}:{member.client_port}"


def _find(word: str, members: list[Member]) -> Member | None:
    """The one with this client or peer address, or whose id begins so. Raises `ReplyError`."""
    found = [
        one for one in members
        if word in (_address(one), f"{one.host}:{one.peer_port}")
        or (len(word) >= 4 and one.node_id.startswith(word.lower()))
    ]
    if len(found) > 1:
        raise ReplyError(f"ERR {word} is the name of {len(found)} nodes: give more of the id")
    return found[0] if found else None


def _shown_state(one: Staged, members: dict[str, Member]) -> str:
    """A staged change in words."""
    name = f"{one.node[:8]} ({_address(members[one.node])})" if one.node in members else one.node
    if one.kind == "replace" and one.newcomer is not None:
        return f"replace {name} by {one.newcomer.node_id[:8]} ({_address(one.newcomer)})"
    words = [one.kind, name]
    if one.weight and one.kind in ("join", "change"):
        words.append(f"weight {one.weight}")
    if one.zone is not None:
        words.append(f"zone {one.zone or '-'}")
    return " ".join(words)
