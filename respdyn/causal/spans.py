"""What a big element map says of spans: some intervals of the dots of some actors.

Found by the tree of dots, so that it costs what is in the span.
"""

from typing import Final

from respdyn.causal import dot_tree
from respdyn.causal.big import cells_between, stretches, trees_of
from respdyn.causal.element_map import Entry, key_entries_of
from respdyn.causal.marks import mark_of
from respdyn.causal.persistent_tree import Node
from respdyn.causal.rows import covers, edges_of

ALL: Final = 1 << 62            # more than there can be


def total_within(record: bytes, rows: bytes) -> tuple[int, int]:
    """How many cells of a big map have dots in these rows, and the XOR of their marks."""
    big = trees_of(record)
    dots: Node | None = big.dots
    count = mark = 0
    for low, high in stretches(big.actors, rows):
        more, xor = dot_tree.total(dots, low, high)
        count += more
        mark ^= xor
    edges = edges_of(rows)
    for element, dot, payload in key_entries_of(record):
        if covers(edges, dot):
            count += 1
            mark ^= mark_of(element, dot, payload)
    return count, mark


def first_within(record: bytes, row: bytes, most: int) -> list[Entry]:
    """The cells of a big map, so many at the most, that have the first dots in one row."""
    big = trees_of(record)
    found: list[Entry] = []
    for low, high in stretches(big.actors, row):
        found += cells_between(big.cells, big.dots, big.actors, low, high, most)
    return found


def entries_within(record: bytes, rows: bytes) -> list[Entry]:
    """The entries of a big map whose dots these rows cover, sorted."""
    big = trees_of(record)
    edges = edges_of(rows)
    found = [entry for entry in key_entries_of(record) if covers(edges, entry[1])]
    for low, high in stretches(big.actors, rows):
        found += cells_between(big.cells, big.dots, big.actors, low, high, ALL)
    found.sort()
    return found
