"""A walk through the elements of a big element map, a leaf of its tree at a time.

A reader that wants all elements of a million finds each by a search from the root otherwise. The
tree never changes, so a walk may stop between two leaves and go on when others have been served.
"""

from collections.abc import Iterator

from respdyn.causal.big import trees_of
from respdyn.causal.element_map import inline_entries
from respdyn.causal.persistent_tree import Node, leaves

Cells = list[tuple[bytes, bytes]]       # (dot, payload) of each


def walk(record: bytes, kind: bytes) -> Iterator[dict[bytes, Cells]]:
    """The elements of a kind with their cells, those of a leaf at a time, in the tree's order."""
    big = trees_of(record)
    cells: Node | None = big.cells
    actors: list[bytes] = big.actors
    if cells is None:
        return
    for data in leaves(cells, kind):
        found: dict[bytes, Cells] = {}
        letter = b""
        for element, dot, payload in inline_entries(data, 0, len(data), actors):
            letter = element[:1]
            if letter == kind:
                found.setdefault(element, []).append((dot, payload))
        if found:
            yield found
        if letter > kind:
            return
