"""A search tree whose nodes never change: a change makes new nodes from the leaf to the root.

So a holder of a root holds one state for good, beside those that go on from it, and what two states
share is there once. Two trees of a big key are made of such nodes: its cells by element
(`cell_tree`) and its dots (`dot_tree`). A leaf has its entries as one piece of bytes. Each node
has sums over what is below: how many, the XOR of marks, and what a head has to say.

A node's `low` is a lower bound of what is in it, but in the leftmost of its parent.
"""

from collections.abc import Iterator
from typing import Final

from respdyn.causal.form import CLOCK_BYTES

KIDS_MAX: Final = 64
_KIDS_FEW: Final = 8
_NO_CLOCK: Final = bytes(CLOCK_BYTES)
NO_KIDS: Final[list["Node"]] = []       # of all leaves; never changed


class Node:
    """A leaf, which has data, or an inner node, which has kids."""

    __slots__ = ("count", "crowded", "data", "kids", "live", "low", "mark", "odd", "top", "weight")

    def __init__(self, low: bytes, data: bytes, kids: "list[Node]") -> None:
        self.low = low
        self.data = data
        self.kids = kids
        self.count = 0          # elements, or dots
        self.mark = 0           # XOR of the marks of the dots
        self.live = 0           # cells that make a key live
        self.odd = 0            # cells of fields that are more than a value
        self.crowded = 0        # elements with several cells
        self.top = _NO_CLOCK    # the highest clock
        self.weight = 0         # bytes of all data


def above(low: bytes, kids: list[Node]) -> Node:
    """An inner node over these."""
    node = Node(low, b"", kids)
    for kid in kids:
        node.count += kid.count
        node.mark ^= kid.mark
        node.live += kid.live
        node.odd += kid.odd
        node.crowded += kid.crowded
        node.weight += kid.weight
        if kid.top > node.top:
            node.top = kid.top
    return node


def instead(node: Node, at: int, new: list[Node]) -> list[Node]:
    """An inner node with others in place of one kid: none, one or, where it grew too wide, two."""
    old = node.kids[at]
    if len(new) == 1 and not (_is_few(new[0]) and len(node.kids) > 1):
        fresh = new[0]
        kids = node.kids[:]
        kids[at] = fresh
        made = Node(kids[0].low, b"", kids)
        made.count = node.count + fresh.count - old.count
        made.mark = node.mark ^ fresh.mark ^ old.mark
        made.live = node.live + fresh.live - old.live
        made.odd = node.odd + fresh.odd - old.odd
        made.crowded = node.crowded + fresh.crowded - old.crowded
        made.weight = node.weight + fresh.weight - old.weight
        if fresh.top >= node.top or old.top < node.top:
            made.top = max(fresh.top, node.top)
        else:
            made.top = max([kid.top for kid in kids])
        return [made]
    kids = node.kids[:at] + new + node.kids[at + 1 :]
    if len(new) == 1:
        kids = _joined(kids, at)
    if not kids:
        return []
    if len(kids) <= KIDS_MAX:
        return [above(kids[0].low, kids)]
    half = len(kids) >> 1
    return [above(kids[0].low, kids[:half]), above(kids[half].low, kids[half:])]


def _is_few(node: Node) -> bool:
    """Whether a node is so small that a neighbour should take it in."""
    return len(node.kids) < _KIDS_FEW if node.kids else len(node.data) < 256


def _joined(kids: list[Node], at: int) -> list[Node]:
    """A small kid and a neighbour made one, if that one is not large."""
    first = at - 1 if at else 0
    if first + 1 >= len(kids):
        return kids
    one, two = kids[first], kids[first + 1]
    if one.kids:
        if len(one.kids) + len(two.kids) > KIDS_MAX // 2:
            return kids
        both = above(one.low, one.kids + two.kids)
    else:
        if len(one.data) + len(two.data) > 768:
            return kids
        both = above(one.low, [one, two])       # the sums
        both.data, both.kids = one.data + two.data, NO_KIDS
    return [*kids[:first], both, *kids[first + 2 :]]


def rooted(nodes: list[Node]) -> Node | None:
    """One root over what a change has left."""
    while len(nodes) > 1:
        nodes = [
            above(nodes[at].low, nodes[at : at + KIDS_MAX // 2])
            for at in range(0, len(nodes), KIDS_MAX // 2)
        ]
    if not nodes:
        return None
    root = nodes[0]
    while len(root.kids) == 1:
        root = root.kids[0]
    return root


def kid_at(kids: list[Node], key: bytes) -> int:
    """Which kid has the entries with this key, or would have them."""
    low, high = 0, len(kids)
    while low < high:
        middle = (low + high) >> 1
        if kids[middle].low <= key:
            low = middle + 1
        else:
            high = middle
    return low - 1 if low else 0


def leaves(node: Node, key: bytes) -> Iterator[bytes]:
    """The data of the leaves in order, from the one on that could hold this key."""
    if not node.kids:
        yield node.data
        return
    at = kid_at(node.kids, key)
    yield from leaves(node.kids[at], key)
    for kid in node.kids[at + 1 :]:
        yield from leaves(kid, b"")


def take_down(nodes: list[Node], most: int) -> None:
    """Let go of so many of the nodes below these; the rest is left in the list.

    The end of a root would end all that no other holds at once, a million elements in 100 ms.
    """
    while nodes and most:
        nodes += nodes.pop().kids
        most -= 1
