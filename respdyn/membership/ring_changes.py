"""Changes of membership: staged here, shown by a plan, committed by a majority; and carried on.

What is staged, and the plan that was looked at, belong to the node that was asked and live in its
memory. COMMIT proposes the ring that the plan showed (see `cluster/decision`) and answers when it
is decided. From then on the members carry it on by themselves: the one with the lowest node id that
can be reached proposes the next ring whenever partitions may enter their next phase; the others
step in only when it does not.

Nobody is ever removed automatically, and nothing here is needed for reading or writing.

Source: Dynamo 4.8.1 and 4.9; Riak's `cluster plan` and `cluster commit`; decision 0014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from respdyn.cluster.identity import Identity
from respdyn.cluster.link import Link
from respdyn.cluster.questions import Pause, Sizes
from respdyn.cluster.tasks import Task, answer_as
from respdyn.commands.declare import Argv
from respdyn.config import Settings
from respdyn.config_values import ConfigError
from respdyn.errors import ReplyError
from respdyn.membership.decision import VOTE, Decision
from respdyn.ports import random_bits
from respdyn.resp.replies import OK, array, bulk, error, integer, map_, text
from respdyn.ring.change import Refused, Staged, commit, stage
from respdyn.ring.preview import Preview, preview
from respdyn.ring.ring import MAX_WEIGHT, Member, Ring
from respdyn.sessions.draining import GONE_S

if TYPE_CHECKING:
    from respdyn.node import Node

DRIVE_MS: Final = 150              # between two proposals of those who carry on
STEP_IN_MS: Final = 1_500          # for each member before this one that should have proposed
TELL_MS: Final = 30                # between two states told: many partitions fill in that time
COMMIT_MS: Final = 10_000          # until a commit gives up
DRAIN_MS: Final = 5_000            # until a drain says that something is still under way
_POLL_MS: Final = 10


class Changes:
    """This node's part in changing the ring."""

    def __init__(self, node: Node) -> None:
        self.staged: list[Staged] = []
        self.decision = node.gossip.decision = Decision(
            node.identity.node_id, node.random, node.replica.put_synced, node.gossip.send_vote,
            node.gossip.decided, lambda peer: node.gossip.tell_ring(node.link_to(peer)),
            node.this.now,
        )
        node.gossip.adopted = self.adopted
        self._node = node
        self._planned: tuple[int, tuple[Staged, ...]] | None = None
        self.is_committing = False
        self._next_ms = 0
        self._told_ms = 0
        self._adopted_ms = 0
        self._stored_version = 0
        self._sealed: list[tuple[int, int, int]] = []   # (generation, ring version, votes)
        self._open: list[object] = []           # rounds begun under an earlier ring
        self._tasks: set[int] = set()           # and tasks

    # ---- the ring ----

    def restore(self) -> None:
        """Take back what the store holds."""
        node = self._node
        node.transfers.restore()
        if node.membership.ring is not None:
            self._stored_version = node.membership.ring.version     # it comes from there
        self.decision.restore(
            node.replica.meta.get(VOTE), node.identity.actor, node.identity.is_new_life
        )

    def found(self) -> None:
        """Without a ring and seeds: found a cluster of one. Raises `ConfigError` if that cannot be
        what is wanted: a size is given, or this directory was begun with seeds.
        """
        node = self._node
        size = node.settings.cluster_size
        if node.membership.ring is not None or node.settings.seeds:
            return
        if size > 1:
            raise ConfigError(
                f"cluster-size {size}: without seeds this node would be a cluster of one, with "
                "one copy of everything; give --seeds, or leave cluster-size out"
            )
        if not node.identity.is_new_life:
            raise ConfigError(
                "seeds (empty): this data directory was begun with seeds and knows no cluster yet; "
                "give them again, or start a cluster of one with an empty directory"
            )
        node.membership.found_alone()
        node.gossip.keep_ring()

    def adopted(self) -> None:
        """A new ring is known, and will be stored with this turn's batch."""
        self.go_by_ring()
        self._node.replan()

    def go_by_ring(self) -> None:
        """Everything but the plans follows the ring that is known here."""
        node = self._node
        ring, identity = node.membership.ring, node.identity
        if ring is None:
            return
        node.replica.set_partitions(ring.partitions)
        here = ring.member(identity.node_id)
        # A member of this ring that has lost what it knew when it became one. A life in which no
        # ring was stored yet is as new as one that has just begun: it may have been killed before
        # it could learn that it is a member.
        is_new = identity.is_new_life or self._stored_version == 0
        is_empty_handed = node.transfers.ring is None and is_new and (
            here is not None and here.incarnation != incarnation(identity.actor)
        )
        if is_empty_handed:
            self.decision.begin_life(identity.actor)
        for partition in sorted(node.transfers.adopt(ring, is_empty_handed)):
            identity.floors[partition] = identity.counter
        self.decision.adopt(ring)
        # What is under way began under an earlier ring.
        self._adopted_ms = node.now_ms
        self._next_ms = min(self._next_ms, node.now_ms + DRIVE_MS)
        self._open = list(node.coordinator.unfinished())
        self._tasks = node.asking.running()

    def peer_began(self, link: Link) -> None:
        """A peer's connection to us is a new one: it has told nothing on it yet."""
        if link.is_up:
            self._node.replan()

    def lost_memory(self) -> None:
        """This node has forgotten things: its votes and its data may be among them."""
        node = self._node
        node.trace.event("memory_lost", actor=node.identity.actor.hex()[:8])
        self.decision.begin_life(node.identity.actor)
        node.front.arrival.lives.tell_all()
        if node.transfers.ring is not None:
            node.transfers.adopt(node.transfers.ring, True)
            node.replan()

    def seal(self, generation: int) -> None:
        """The votes given so far and the ring are synced with this generation."""
        ring = self._node.membership.ring
        self._sealed.append(
            (generation, ring.version if ring is not None else 0, self.decision.seal())
        )

    def durable(self, generation: int) -> None:
        """Everything up to this generation is on the disk."""
        self._node.front.arrival.lives.durable(generation)
        while self._sealed and self._sealed[0][0] <= generation:
            _, version, votes = self._sealed.pop(0)
            self._stored_version = max(self._stored_version, version)
            self.decision.release(votes)

    # ---- carrying on ----

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        first_ms = self.decision.next_deadline()
        transfers = self._node.transfers
        ring = transfers.ring
        if ring is not None:
            if transfers.has_changed or transfers.own.version != ring.version:
                first_ms = min(first_ms, self._told_ms + TELL_MS)
            if transfers.is_changing:
                first_ms = min(first_ms, self._next_ms)
        return first_ms

    def tick(self) -> None:
        """Tell what has changed here, and propose what may go on."""
        node = self._node
        transfers = node.transfers
        ring = transfers.ring
        self.decision.tick()
        if ring is None:
            return
        if node.now_ms >= self._told_ms + TELL_MS:
            self._told_ms = node.now_ms
            if transfers.own.version != ring.version and self._is_settled(ring):
                transfers.settle()
            if transfers.has_changed:
                transfers.has_changed = False
                node.gossip.tell_state()
        if transfers.is_changing and node.now_ms >= self._next_ms:
            self._next_ms = node.now_ms + DRIVE_MS
            self._carry_on(ring)

    def _is_settled(self, ring: Ring) -> bool:
        """Whether the ring is on the disk and all that began before it is answered."""
        if self._stored_version < ring.version:
            return False
        if any(not one.is_done for one in self._open):  # type: ignore[attr-defined]
            return False
        self._open = []
        return not self._node.asking.is_running(self._tasks)

    def _carry_on(self, ring: Ring) -> None:
        node = self._node
        if self.is_committing or self.decision.is_proposing() or not node.this.is_member():
            return
        here = node.identity.node_id
        before = sum(
            1 for member in ring.members if member.node_id < here and self._is_up(member.node_id)
        )
        if node.now_ms - self._adopted_ms < before * STEP_IN_MS:
            return
        following = node.transfers.next_ring(node.now_ms)
        if following is not None:
            self.decision.propose(following)

    def _is_up(self, name: str) -> bool:
        if name == self._node.identity.node_id:
            return True
        link = self._node.links.get(name)
        return link is not None and link.is_up

    # ---- staging ----

    def task(self, name: str, argv: Argv, resp3: bool) -> Task:
        """The task of DYN.CLUSTER JOIN and its kin. Raises `ReplyError`."""
        ring = self._ring()
        words = [word.decode("utf-8", "replace") for word in argv[2:]]
        if name == "join":
            visitor = self._visitor(words[0])
            weight, zone = _options(words[1:])
            return self._stage(Staged(
                "join", visitor[0].node_id, visitor[0], visitor[1], weight, zone
            ))
        if name == "leave":
            return self._stage(Staged("leave", self._member(ring, words[0])))
        if name == "replace":
            newcomer, n = self._visitor(words[1])
            old = ring.member(self._member(ring, words[0]))
            assert old is not None
            return self._stage(Staged("replace", old.node_id, newcomer, n, old.weight))
        if name == "force-remove":
            return self._stage(Staged("force-remove", self._member(ring, words[0])))
        if name == "change":
            weight, zone = _options(words[1:])
            if not weight and zone is None:
                raise ReplyError("ERR give WEIGHT, ZONE or both")
            return self._stage(Staged(
                "change", self._member(ring, words[0]), weight=weight, zone=zone
            ))
        if name == "clear":
            self.staged = []
            self._planned = None
            return _at_once(OK)
        if name in ("plan", "commit") and not self.staged:
            raise ReplyError("ERR nothing is staged")
        if name == "plan":
            return self._plan(ring, resp3)
        if name == "commit":
            return self._commit(ring)
        if name == "renew-keys":
            return self._renew_keys()
        assert name == "drain", f"no task for {name}"
        return self._drain(words)

    def _ring(self) -> Ring:
        ring = self._node.membership.ring
        if ring is None or not self._node.this.is_member():
            raise ReplyError("CLUSTERDOWN this node is no member of a cluster: ask one that is")
        return ring

    def _stage(self, new: Staged) -> Task:
        try:
            self.staged = stage(self._ring(), self.staged, new)
        except Refused as why:
            raise ReplyError(f"ERR {why}") from None
        self._planned = None
        return _at_once(OK)

    def _visitor(self, word: str) -> tuple[Member, int]:
        """A node that waits to be joined, by its address or the beginning of its id."""
        visitors = self._node.membership.visitors
        found = _find(word, [one.member for one in visitors.values()])
        if found is None:
            waiting = ", ".join(_address(one.member) for _, one in sorted(visitors.items()))
            raise ReplyError(
                f"ERR no node {word} waits to join; start it with --seeds. "
                + (f"Waiting: {waiting}" if waiting else "Nobody waits")
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
        if node.membership.ring is not ring:
            return error("TRYAGAIN the ring changed just now")
        following = commit(ring, self.staged, self._is_up, ring.token)
        self._planned = (ring.changes, tuple(self.staged))
        shown = preview(ring, following, self.staged, self._is_up, sizes)
        return self._shown(ring, following, shown, resp3)

    def _shown(self, ring: Ring, following: Ring, shown: Preview, resp3: bool) -> bytes:
        members = {one.node_id: one for one in (*ring.members, *following.members)}

        def named(pairs: list[tuple[bytes, bytes]]) -> bytes:
            return map_([(bulk(name), value) for name, value in pairs], resp3)

        return named([
            (b"ring-version", integer(ring.version)), (b"n", integer(following.n)),
            (b"changes", array([text(_told(one, members)) for one in self.staged])),
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

    def _commit(self, ring: Ring) -> Task:
        if self._planned != (ring.changes, tuple(self.staged)):
            raise ReplyError("ERR look at DYN.CLUSTER PLAN first: a commit does what it has shown")
        if self.is_committing:
            raise ReplyError("ERR a commit is under way here")
        return self._decide(ring.changes)

    def _decide(self, changes: int) -> Task:
        node = self._node
        token = f"{random_bits(node.random, 64):016x}"
        staged = list(self.staged)
        end_ms = node.now_ms + COMMIT_MS
        self.is_committing = True
        try:
            while True:
                ring = node.membership.ring
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
                if node.now_ms >= end_ms:
                    return self._gave_up(ring)
                if not self.decision.is_proposing():
                    self.decision.propose(commit(ring, staged, self._is_up, token))
                yield [Pause(_POLL_MS)]
        finally:
            self.is_committing = False

    def _gave_up(self, ring: Ring) -> bytes:
        up = sum(self._is_up(member.node_id) for member in ring.members)
        may_happen = self.decision.withdraw()
        outcome = "it may still happen; see DYN.CLUSTER STATUS" if may_happen else (
            "nothing was changed"
        )
        return error(
            f"NOMAJORITY a change needs {len(ring.members) // 2 + 1} of {len(ring.members)} "
            f"members, {up} can be reached: {outcome}"
            + ("; this node has lost its votes with its disk, and learns from the others what was "
               "decided: try again in a minute" if self.decision.has_forgotten else "")
        )

    # ---- token keys ----

    def _renew_keys(self) -> Task:
        node = self._node
        node.gossip.token_keys.renew()
        node.gossip.tell_keys()
        node.trace.event("token_keys_renewed")
        return _at_once(OK)

    # ---- draining ----

    def _drain(self, words: list[str]) -> Task:
        if len(words) > 1 or (words and words[0].lower() not in ("on", "off")):
            raise ReplyError("ERR DYN.CLUSTER DRAIN takes ON or OFF")
        node = self._node
        if words and words[0].lower() == "off":
            node.draining.end()
            return _at_once(OK)
        if not node.draining.is_leaving:
            node.trace.event("draining")
            node.draining.begin(GONE_S)
        return self._finish(list(node.coordinator.unfinished()))

    def _finish(self, rounds: list[object]) -> Task:
        """Wait until what was under way is answered, and the hints kept here are delivered."""
        node = self._node
        end_ms = node.now_ms + DRAIN_MS
        yield [Pause(_POLL_MS)]
        while node.hints.count or any(
            not one.is_done for one in rounds  # type: ignore[attr-defined]
        ):
            if node.now_ms >= end_ms:
                return error(
                    f"TRYAGAIN others coordinate, but {node.hints.count} hints are kept here for "
                    "nodes that cannot be reached"
                )
            yield [Pause(_POLL_MS)]
        return OK


def member_of(settings: Settings, identity: Identity) -> Member:
    """This node as others are to know it."""
    return Member(
        node_id=identity.node_id, host=settings.host,
        client_port=settings.client_port or settings.tls_port,
        cluster_port=settings.cluster_port or settings.tls_cluster_port,
        peer_port=settings.peer_port, http_port=settings.http_port, zone=settings.zone,
        weight=settings.weight, incarnation=incarnation(identity.actor),
    )


def incarnation(actor: bytes) -> int:
    """The number by which a ring knows the life in which a member joined."""
    return int.from_bytes(actor[:8], "big") >> 1


def _at_once(reply: bytes) -> Task:
    """A task that asks nobody."""
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


def _told(one: Staged, members: dict[str, Member]) -> str:
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


