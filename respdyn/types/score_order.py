"""The members of a sorted set in the order of their scores, kept beside its record.

A record gives the score of one member; an `Order` gives ranks and ranges. That of a small record is
made when it is needed. That of a big one is made by reading the record once, and
follows it: a big record says of which states it was made, and what was touched since. An order is
known by its record's *seal*, mark and count, which is the same wherever the same members stand.
The orders that were unused for longest are given up when they are too many. What is
kept changes no answer.

Source: Redis `t_zset.c`, where a skip list does this. Marks: decision 0036.
"""

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sized
from math import inf, nextafter
from typing import Final, Generic, TypeVar

from sortedcontainers import SortedList  # type: ignore[import-untyped]

from respdyn.causal import big
from respdyn.types.view import View

ORDERED_MAX: Final = 2_000_000          # members in all orders that are kept, but for the last used
NEAR: Final = 200               # elements that an order may have to catch up with within a turn
PIECE: Final = 50               # and those that it is given in a row otherwise
STEPS: Final = 8                # that one of them is taken for (`cluster/slices`)

Seal = tuple[int, int]                  # `big.seal_of`
Scored = tuple[float, bytes]            # score, member


class Order:
    """Members by score, then by their bytes; score by member."""

    __slots__ = ("_ranked", "scores")

    def __init__(self, scores: dict[bytes, float]) -> None:
        self.scores = scores
        self._ranked = SortedList((score, member) for member, score in scores.items())

    def __len__(self) -> int:
        return len(self.scores)

    def set(self, member: bytes, score: float | None) -> None:
        """Give a member this score; None: it is gone."""
        before = self.scores.pop(member, None)
        if before is not None:
            self._ranked.remove((before, member))
        if score is not None:
            self.scores[member] = score
            self._ranked.add((score, member))

    def at(self, rank: int) -> Scored:
        """The one with this rank."""
        found: Scored = self._ranked[rank]
        return found

    def span(self, start: int, end: int) -> list[Scored]:
        """Those from one rank up to another, which is not among them."""
        found: list[Scored] = self._ranked[max(start, 0) : max(end, 0)]
        return found

    def each(self, start: int = 0) -> Iterator[Scored]:
        """One after the other, from a rank on."""
        items: Iterator[Scored] = self._ranked.islice(start)
        return items

    def rank(self, member: bytes) -> int | None:
        """How many come before a member; None if it is not there."""
        score = self.scores.get(member)
        if score is None:
            return None
        found: int = self._ranked.bisect_left((score, member))
        return found

    def below(self, score: float, with_it: bool) -> int:
        """How many have a lower score; or that score itself, `with_it`."""
        if with_it:
            if score == inf:
                return len(self.scores)
            score = nextafter(score, inf)
        found: int = self._ranked.bisect_left((score,))
        return found

    def before(self, member: bytes, with_it: bool) -> int:
        """Where all have one score: how many come before a name; or that name too, `with_it`."""
        if not self.scores:
            return 0
        key = (self._ranked[0][0], member)
        found: int = self._ranked.bisect_right(key) if with_it else self._ranked.bisect_left(key)
        return found

    def has_one_score(self) -> bool:
        """Whether all members have the same score."""
        return not self.scores or bool(self._ranked[0][0] == self._ranked[-1][0])


Kept = TypeVar("Kept", bound=Sized)


class Orders(Generic[Kept]):
    """The orders that are kept, by the seals of their records.

    `letters` are those of their elements; `read` makes an order of all that a view has, `follow`
    has one element in an order as it is now in the view. Of many elements that is long work:
    `prepare` does it in pieces, before the command that needs the order.
    """

    def __init__(
        self, letters: bytes, read: Callable[[View], Kept],
        follow: Callable[[Kept, View, bytes], None], empty: Callable[[], Kept],
        view_of: Callable[[bytes, int], View], most: int = ORDERED_MAX,
    ) -> None:
        self._letters = letters
        self._read = read
        self._follow = follow
        self._empty = empty
        self._view_of = view_of
        self._most = most
        self._kept: OrderedDict[Seal, Kept] = OrderedDict()
        self.members = 0
        self.dropped = 0                # orders that were given up for others

    def of(self, view: View) -> Kept:
        """The order of a big record's elements. It is not to be changed, nor kept."""
        record = view.record
        seal = big.seal_of(record)
        order = self.take(seal)
        if order is None:
            order = self._followed(view)
        if order is None:
            order = self._read(view)
        self.keep(seal, order)
        big.end_lineage(record)
        return order

    def _followed(self, view: View) -> Kept | None:
        """The order of a state that this one was made of, with what was touched since."""
        touched: dict[bytes, None] = {}
        state = big.lineage_of(view.record)
        while state is not None:
            touched.update(dict.fromkeys(state.touched))
            order = self.take((state.mark, state.size))
            if order is not None:
                for element in touched:
                    if element[:1] in self._letters:
                        self._follow(order, view, element)
                return order
            state = state.before
        return None

    # ---- in pieces ----

    def is_near(self, record: bytes) -> bool:
        """Whether `of` has little to do for this big record."""
        seal = big.seal_of(record)
        if seal[1] <= NEAR or seal in self._kept:
            return True
        state = big.lineage_of(record)
        touched = steps = 0
        while state is not None and touched <= NEAR and steps <= NEAR:
            if (state.mark, state.size) in self._kept:
                return True
            touched += len(state.touched)
            steps += 1
            state = state.before
        return False

    def prepare(self, record: bytes) -> Generator[int, None, None]:
        """Make and keep the order of a big record; yields the steps of each piece.

        Others may have changed the key by the end: their states are made of this one.
        """
        touched: dict[bytes, None] = {}
        order: Kept | None = None
        state = big.lineage_of(record)
        passed = 0
        while state is not None and order is None:
            touched.update(dict.fromkeys(state.touched))
            order = self.take((state.mark, state.size))
            state = state.before
            passed += 1
            if passed % PIECE == 0:
                yield PIECE
        if order is None:
            order = self._empty()
            for letter in self._letters:
                yield from self._grow(order, record, bytes([letter]))
        else:
            elements = [element for element in touched if element[:1] in self._letters]
            for at in range(0, len(elements), PIECE):
                view = self._view_of(record, 0)
                for element in elements[at : at + PIECE]:
                    self._follow(order, view, element)
                yield PIECE * STEPS
        self.keep(big.seal_of(record), order)
        big.end_lineage(record)

    def _grow(self, order: Kept, record: bytes, letter: bytes) -> Generator[int, None, None]:
        """Have all elements with this letter in an order that has none of them."""
        view = self._view_of(record, 0)
        done = 0
        for elements in view.walk_of(letter):
            for element in elements:
                self._follow(order, view, element)
            done += len(elements)
            if done >= PIECE:
                yield done * STEPS
                done = 0

    # ---- keeping ----

    def keep(self, seal: Seal, order: Kept) -> None:
        """Keep it, and give up others if they are too many."""
        self.take(seal)
        self._kept[seal] = order
        self.members += len(order)
        while self.members > self._most and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self.members -= len(old)
            self.dropped += 1

    def take(self, seal: Seal) -> Kept | None:
        """The order of the record with this seal, no longer kept; None if there is none."""
        order = self._kept.pop(seal, None)
        if order is not None:
            self.members -= len(order)
        return order
