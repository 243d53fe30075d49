"""`BigRecord`: the head of a big element map as bytes, and beside it where its elements are.

It is bytes, so that code that reads a record's form, its rows or its digest need not know that
it is big. What is stored or sent is never this alone. Not compiled: mypyc makes no heirs of bytes.
"""

from typing import NamedTuple

from respdyn.causal.persistent_tree import Node


class Lineage(NamedTuple):
    """A state that a big record was made of, by one join after the other."""

    steps: int                  # joins that are kept
    mark: int                   # of that state
    size: int                   # its elements of the kind that has an order
    touched: list[bytes]        # the elements in which the next state differs from it
    before: "Lineage | None"


class BigRecord(bytes):
    """Immutable, as every record. See `big`, which alone makes them."""

    cells: Node | None          # by element
    dots: Node | None           # by dot
    actors: list[bytes]         # of the cells, by their places; those of other states among them
    touched: list[bytes]        # the elements in which it differs from what it was made of
    lineage: Lineage | None = None      # for those who keep something beside it that follows it
