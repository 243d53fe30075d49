"""`BigRecord`: the head of a big element map as bytes, and beside it where its elements are.

It is bytes, so that whoever asks a record for its form, its rows or its digest need not know that
it is big. What is stored or sent is never this alone. Not compiled: mypyc makes no heirs of bytes.
"""

from respdyn.causal.persistent_tree import Node


class BigRecord(bytes):
    """Immutable, as every record. See `big`, which alone makes them."""

    cells: Node | None          # by element
    dots: Node | None           # by dot
    actors: list[bytes]         # of the cells, by their places; those of other states among them
    touched: list[bytes]        # the elements in which it differs from what it was made of
