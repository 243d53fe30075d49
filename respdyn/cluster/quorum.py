"""The tally: counts the answers of one turn's requests until there are enough.

All writes that a node coordinates in one turn for the same replicas and on the same terms share one
`WriteRound`, because they travel in the same frames and one cumulative acknowledgement answers them
all; reads likewise share a `ReadRound`. So the cost of counting is per turn, not per operation.

A round never waits by itself. Its inputs are `acknowledge`, `lose` (that replica will not answer)
and `expire`, and it ends its operations at once when the outcome is certain.

Source: the pure vote tally of riak_kv_put_core; decision 0003.
"""

from abc import ABC, abstractmethod

from respdyn.ring.hashing import Locator


class Target(ABC):
    """Where a reply goes that may come later: a session, or a waiter that was there before."""

    __slots__ = ()

    @abstractmethod
    def hold(self) -> "Waiter":
        """A place for the reply."""


class Waiter(Target):
    """What waits for a reply: a place in a session's order, or a peer that forwarded a call."""

    __slots__ = ()

    def hold(self) -> "Waiter":
        """Itself: the place is there already."""
        return self

    def source(self) -> object:
        """Whose commands take effect in their order; this is one of them."""
        return self

    def goes_on(self) -> None:
        """It takes long, and is being worked on: no failure."""

    @abstractmethod
    def fill(self, reply: bytes) -> None:
        """The reply, encoded."""

    @abstractmethod
    def fail(self, text: str) -> None:
        """An error reply; `text` as in `ReplyError`."""


class Reader(ABC):
    """What waits for a quorum's word on one key."""

    __slots__ = ()

    @abstractmethod
    def agree(self) -> None:
        """Enough replicas hold exactly what this node held when the read began."""

    @abstractmethod
    def differ(self, record: bytes) -> None:
        """Enough replicas answered; `record` is the join of all that they hold."""

    @abstractmethod
    def fail(self, text: str) -> None:
        """Too few answered."""


# One write of a round: who waits, its reply, the locator, the delta that was shipped, and until
# when (monotonic, ms) it may be written once more to cover a sibling.
WriteOp = tuple[Waiter, bytes, Locator, bytes, int]


class Substitutes:
    """Those who keep the writes of a round for one owner that was sent them and says nothing.

    The owner and they together are one answer: it counts once, when the owner has answered or all
    of them have, and is lost when neither can come any more.
    """

    __slots__ = ("is_broken", "is_counted", "is_owner_lost", "missing", "peers")

    def __init__(self, peers: list[str]) -> None:
        self.peers = peers
        self.missing = len(peers)       # of them, those that have not answered
        self.is_broken = False          # one of them never will
        self.is_owner_lost = False
        self.is_counted = False         # the answer has come, or is lost

    def has_answered(self, is_owner: bool) -> bool:
        """One of them has, or the owner. True the one time that this makes the answer."""
        self.missing -= not is_owner
        if self.is_counted or not (is_owner or self.missing == 0):
            return False
        self.is_counted = True
        return True

    def is_lost(self, is_owner: bool) -> bool:
        """One of them will not answer, or the owner. True the one time that this loses it."""
        self.is_owner_lost |= is_owner
        self.is_broken |= not is_owner
        if self.is_counted or not (self.is_owner_lost and self.is_broken):
            return False
        self.is_counted = True
        return True


class WriteRound:
    """The writes of one turn to one set of replicas, on the same terms."""

    __slots__ = (
        "acknowledged",
        "began_ms",
        "conflicts",
        "deadline_ms",
        "early",
        "is_done",
        "is_settled",
        "is_sloppy",
        "numbers",
        "open_answers",
        "ops",
        "quiet",
        "reported",
        "sent_to",
        "substitutes",
        "timeout_ms",
        "w",
    )

    def __init__(
        self, w: int, is_sloppy: bool, replicas: int, deadline_ms: int, began_ms: int = 0,
        early: str = "",
    ) -> None:
        self.w = w
        self.is_sloppy = is_sloppy        # stand-ins count
        # The peer that forwarded all of these and finds the answer by itself (see `coordinator`).
        self.early = early
        self.numbers: list[int] = []      # of its commands, like `ops`
        self.is_settled = False           # it has found them, but for those in `reported`
        self.reported: dict[int, None] = {}   # positions of those beside which it holds siblings
        self.began_ms = began_ms
        self.acknowledged = 0
        self.open_answers = replicas      # this node's own, and each peer's that was sent it
        self.deadline_ms = deadline_ms
        self.timeout_ms = deadline_ms - began_ms
        self.is_done = False
        self.ops: list[WriteOp] = []
        self.quiet: list[int] = []        # positions of those whose siblings are not reported
        self.sent_to: tuple[str, ...] = ()
        self.substitutes: dict[str, Substitutes] = {}     # by the owner that says nothing
        # Position in `ops` -> what a replica held beside the write (conflict feedback).
        self.conflicts: dict[int, bytes] | None = None

    def acknowledge(self, peer: str = "") -> bool:
        """One more replica has it. True the one time that this makes W. "" is this node."""
        if self.substitutes:
            shared = self._shared(peer)
            if shared is not None and not shared.has_answered(peer in self.substitutes):
                return False
        self.open_answers -= 1
        self.acknowledged += 1
        return self.is_now_done()

    def is_now_done(self) -> bool:
        """Whether W have it, and who may answer by itself has had its say. True only once."""
        if self.acknowledged < self.w or self.is_done or (self.early and not self.is_settled):
            return False
        self.is_done = True
        return True

    def _shared(self, peer: str) -> Substitutes | None:
        """The answer that this peer's is a part of, if not one by itself."""
        found = self.substitutes.get(peer)
        if found is None:
            found = next((one for one in self.substitutes.values() if peer in one.peers), None)
        return found

    def lose(self, peer: str = "") -> None:
        """One replica's answer will not come. Fails the round when W is out of reach."""
        if self.substitutes:
            shared = self._shared(peer)
            if shared is not None and not shared.is_lost(peer in self.substitutes):
                return
        self.open_answers -= 1
        if not self.is_done and self.acknowledged + self.open_answers < self.w:
            self.fail()

    def fail(self) -> None:
        """End every operation with the error that too few replicas answered."""
        self.is_done = True
        text = (
            f"NOQUORUM W={self.w} acknowledged={self.acknowledged}: too few replicas answered; "
            "the write may still appear"
        )
        for waiter, _, _, _, _ in self.ops:
            waiter.fail(text)


class ReadOp:
    """One key of a read round."""

    __slots__ = ("answers", "began_ms", "big", "joined", "locator", "reader", "record")

    def __init__(self, reader: Reader, locator: Locator, record: bytes, began_ms: int) -> None:
        self.began_ms = began_ms
        self.reader = reader
        self.locator = locator
        self.record = record              # what this node held when the read began; b"" for nothing
        self.joined = record
        self.big: list[str] = []          # of those, who holds too much to send it
        # (peer, what it held) of those that held something else; None while there are none.
        self.answers: list[tuple[str, bytes]] | None = None


class ReadRound:
    """The reads of one turn that ask the same replicas.

    Nodes that keep hints for these are in `besides`: they must answer, and do not count.

    Each replica of the round is sent the digest of what this node holds. Its silence about a key,
    once its frame is acknowledged, means "the same here"; otherwise it sends what it holds.
    """

    __slots__ = (
        "agreed",
        "began_ms",
        "besides",
        "deadline_ms",
        "is_done",
        "is_sloppy",
        "keepers",
        "need",
        "open_answers",
        "ops",
        "probed",
        "requested",
        "retry_ms",
        "spare",
        "spare_probes",
        "timeout_ms",
    )

    def __init__(self, need: int, deadline_ms: int, retry_ms: int, began_ms: int = 0) -> None:
        self.need = need                  # answers from others that make the quorum
        self.is_sloppy = False            # those of stand-ins count
        self.began_ms = began_ms
        self.agreed = 0                   # answers that have come
        self.open_answers = 0
        self.deadline_ms = deadline_ms
        self.timeout_ms = deadline_ms - began_ms
        self.retry_ms = retry_ms          # when to ask one more replica, speculatively
        self.is_done = False
        self.ops: list[ReadOp] = []
        self.requested: list[str] = []        # owners
        self.probed: list[str] = []       # stand-ins
        self.spare: list[str] = []        # owners that have no request yet
        self.spare_probes: list[str] = []     # and stand-ins
        self.keepers: tuple[str, ...] = ()
        self.besides: list[str] = []          # of the keepers, those that have not answered

    def acknowledge(self, peer: str) -> bool:
        """One more replica has answered for all keys. True the one time that makes the quorum."""
        if self.besides and peer in self.besides:
            self.besides.remove(peer)
        else:
            self.open_answers -= 1
            self.agreed += 1
        return self.is_now_done()

    def is_now_done(self) -> bool:
        """Whether all that must answer have. True only once."""
        if self.agreed < self.need or self.besides or self.is_done:
            return False
        self.is_done = True
        return True

    def fail(self) -> None:
        """End every reader with the error that too few replicas answered."""
        self.is_done = True
        for op in self.ops:
            self.fail_one(op)

    def fail_one(self, op: ReadOp) -> None:
        """As `fail`, of one key."""
        r = self.need + 1
        text = f"NOQUORUM R={r} answered={self.agreed + 1}: too few replicas answered"
        if self.agreed >= self.need:
            text = f"NOQUORUM R={r}: a node that keeps writes for one of them did not answer"
        op.reader.fail(text)
