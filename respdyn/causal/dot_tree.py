"""The live dots of a big key in order, each with where its cell is and the mark of it.

    entry   actor u16 (its place in the key's own list) | counter u64 | place 5 | mark u64

`place` is the beginning of the element's place in the tree of cells: kind and CRC-32; it is part
of the key, should one dot be that of several elements. So what a context covers of a key of a
million elements is found by looking at no more than that, and two copies of a key are compared a
stretch of dots at a time, by the XOR of marks.
"""

from typing import Final

from respdyn.causal.persistent_tree import NO_KIDS, Node, instead, kid_at, rooted

KEY_BYTES: Final = 15
ENTRY_BYTES: Final = 23
_LEAF_ENTRIES: Final = 64
_BEHIND: Final = b"\xff" * 5
_u64: Final = int.from_bytes


def key_of(actor: int, counter: bytes, place: bytes) -> bytes:
    """The key of a dot: the place of its actor, its counter, the place of its element."""
    return actor.to_bytes(2) + counter + place[:5]


def build(entries: list[bytes]) -> Node | None:
    """The tree of these entries, which are sorted."""
    return rooted([
        _leaf(b"".join(entries[at : at + _LEAF_ENTRIES // 2]))
        for at in range(0, len(entries), _LEAF_ENTRIES // 2)
    ])


def put(root: Node | None, entry: bytes) -> Node | None:
    """With one more dot."""
    if root is None:
        return _leaf(entry)
    return rooted(_changed(root, entry[:KEY_BYTES], entry))


def drop(root: Node | None, key: bytes) -> Node | None:
    """Without a dot, by its key."""
    return None if root is None else rooted(_changed(root, key, b""))


def between(node: Node | None, low: bytes, high: bytes, most: int) -> list[bytes]:
    """The entries with dots above `low` up to `high`, so many at the most."""
    found: list[bytes] = []
    if node is not None:
        _collect(node, low + _BEHIND, high + _BEHIND, most, found)
    return found


def total(node: Node | None, low: bytes, high: bytes) -> tuple[int, int]:
    """How many dots there are above `low` up to `high`, and the XOR of their marks."""
    return (0, 0) if node is None else _total(node, low + _BEHIND, high + _BEHIND)


def _total(node: Node, low: bytes, high: bytes) -> tuple[int, int]:
    if not node.kids:
        data = node.data
        start, end = _place(data, low, True), _place(data, high, True)
        mark = 0
        for at in range(start, end, ENTRY_BYTES):
            mark ^= _u64(data[at + 15 : at + ENTRY_BYTES])
        return (end - start) // ENTRY_BYTES, mark
    kids = node.kids
    first, last = kid_at(kids, low), kid_at(kids, high)
    count = mark = 0
    for at in range(first, last + 1):
        if first < at < last:
            count += kids[at].count
            mark ^= kids[at].mark
        else:
            more, xor = _total(kids[at], low, high)
            count += more
            mark ^= xor
    return count, mark


def _collect(node: Node, low: bytes, high: bytes, most: int, found: list[bytes]) -> None:
    if not node.kids:
        data = node.data
        for at in range(_place(data, low, True), _place(data, high, True), ENTRY_BYTES):
            if len(found) >= most:
                return
            found.append(data[at : at + ENTRY_BYTES])
        return
    kids = node.kids
    for at in range(kid_at(kids, low), kid_at(kids, high) + 1):
        if len(found) >= most:
            return
        _collect(kids[at], low, high, most, found)


def _place(data: bytes, key: bytes, is_behind: bool) -> int:
    """Where an entry with this key begins or would begin; or where the next one does."""
    low, high = 0, len(data) // ENTRY_BYTES
    while low < high:
        middle = (low + high) >> 1
        at = middle * ENTRY_BYTES
        other = data[at : at + KEY_BYTES]
        if other < key or (is_behind and other == key):
            low = middle + 1
        else:
            high = middle
    return low * ENTRY_BYTES


def _changed(node: Node, key: bytes, entry: bytes) -> list[Node]:
    """What stands in place of a node when a dot comes or, with b"", goes."""
    if node.kids:
        at = kid_at(node.kids, key)
        return instead(node, at, _changed(node.kids[at], key, entry))
    data = node.data
    at = _place(data, key, False)
    end = at + ENTRY_BYTES if data[at : at + KEY_BYTES] == key else at
    data = data[:at] + entry + data[end:]
    if len(data) <= _LEAF_ENTRIES * ENTRY_BYTES:
        return [_leaf(data)] if data else []
    half = (_LEAF_ENTRIES >> 1) * ENTRY_BYTES
    return [_leaf(data[:half]), _leaf(data[half:])]


def _leaf(data: bytes) -> Node:
    node = Node(data[:KEY_BYTES], data, NO_KIDS)
    node.count = len(data) // ENTRY_BYTES
    node.weight = len(data)
    mark = 0
    for at in range(15, len(data), ENTRY_BYTES):
        mark ^= _u64(data[at : at + 8])
    node.mark = mark
    return node
