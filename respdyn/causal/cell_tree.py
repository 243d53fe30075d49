"""The elements of a big key, in the order of a checksum of their names.

A leaf has the cells of up to 32 elements, each written as in a small element map
(`element_map`, inline entry); its actor is a place in the key's own list of actors. The *place* of
an element, by which the tree is ordered, is its kind, the CRC-32 of its name with the kind, and
the element: so equal keys are spread alike whatever the names, and a scan has an order that
nothing changes.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final
from zlib import crc32

from respdyn.causal.element_map import INLINE_BYTES
from respdyn.causal.form import CLOCK_BYTES, LIVE, form_of
from respdyn.causal.persistent_tree import NO_KIDS, Node, instead, kid_at, leaves, rooted

LEAF_ELEMENTS: Final = 32
LEAF_BYTES: Final = 4096        # of a leaf, unless a single element has more
_CLOCKLESS: Final = b"m"
_TAGGED: Final = (b"f", b"z")   # fields and scores
_VALUE: Final = 0x76            # the tag of a cell of theirs that is a value and nothing else
_unpack_sizes: Final = Struct(">II").unpack_from


def place_of(element: bytes) -> bytes:
    """Where an element stands in the order."""
    return element[:1] + crc32(element).to_bytes(4) + element


def build(groups: list[tuple[bytes, bytes]]) -> Node | None:
    """The tree of elements, each with its cells as bytes, in the order of their places."""
    made: list[Node] = []
    held: list[bytes] = []
    size = 0
    low = b""
    for place, cells in groups:
        if held and (len(held) >= LEAF_ELEMENTS * 3 // 4 or size + len(cells) > LEAF_BYTES):
            made.append(leaf_of(low, b"".join(held)))
            held, size = [], 0
        if not held:
            low = place
        held.append(cells)
        size += len(cells)
    if held:
        made.append(leaf_of(low, b"".join(held)))
    return rooted(made)


def find(node: Node | None, element: bytes) -> bytes:
    """The cells of an element as bytes; b"" if it has none."""
    if node is None:
        return b""
    place = place_of(element)
    while node.kids:
        node = node.kids[kid_at(node.kids, place)]
    start, end = _range(node.data, element, place, True)
    return node.data[start:end]


def put(root: Node | None, element: bytes, before: bytes, cells: bytes) -> Node | None:
    """With these cells of an element in place of those before, either of them b"" for none."""
    if root is None:
        return leaf_of(place_of(element), cells) if cells else None
    return rooted(_changed(root, element, place_of(element), before, cells))


def first_with(node: Node | None, prefix: bytes, dot: bytes) -> bytes:
    """The element whose place begins so and that has the cell with this dot; b"" for none.

    `dot`: the place of its actor (2 bytes) and its counter.
    """
    if node is None:
        return b""
    for data in leaves(node, prefix):
        at, size = 0, len(data)
        while at < size:
            element_bytes, payload_bytes = _unpack_sizes(data, at)
            start = at + INLINE_BYTES
            element = data[start : start + element_bytes]
            if data[at + 8 : start] == dot and place_of(element)[:5] == prefix:
                return element
            at = start + element_bytes + payload_bytes
        if place_of(element)[:5] > prefix:
            return b""
    return b""


def names(node: Node | None, place: bytes, kind: bytes) -> Iterator[bytes]:
    """The elements of a kind in order, from a place on."""
    if node is None:
        return
    is_reached = False
    for data in leaves(node, place or kind):
        at, size = 0, len(data)
        last = b""
        while at < size:
            element_bytes, payload_bytes = _unpack_sizes(data, at)
            start = at + INLINE_BYTES
            element = data[start : start + element_bytes]
            at = start + element_bytes + payload_bytes
            if element[:1] > kind:
                return
            if element[:1] == kind and element != last:
                is_reached = is_reached or place_of(element) >= place
                if is_reached:
                    yield element
            last = element


def nth(node: Node | None, kind: bytes, index: int, before: int) -> bytes:
    """The element at this place in the order of its kind; `before`: elements of kinds before it."""
    index += before
    assert node is not None and 0 <= index < node.count, "there are not so many"
    while node.kids:
        for kid in node.kids:
            if index < kid.count:
                node = kid
                break
            index -= kid.count
    data = node.data
    at = 0
    last = b""
    while True:
        element_bytes, payload_bytes = _unpack_sizes(data, at)
        start = at + INLINE_BYTES
        element = data[start : start + element_bytes]
        if element != last:
            if index == 0:
                return element
            index -= 1
            last = element
        at = start + element_bytes + payload_bytes


def leaf_of(low: bytes, data: bytes) -> Node:
    """A leaf with its sums."""
    node = Node(low, data, NO_KIDS)
    node.weight = len(data)
    at, size = 0, len(data)
    last, is_crowded = b"", False
    while at < size:
        element_bytes, payload_bytes = _unpack_sizes(data, at)
        start = at + INLINE_BYTES
        middle = start + element_bytes
        element = data[start:middle]
        if element != last:
            node.count += 1
            last, is_crowded = element, False
        elif not is_crowded:
            node.crowded += 1
            is_crowded = True
        at = middle + payload_bytes
        kind = element[:1]
        payload = data[middle : middle + 16] if payload_bytes > 16 else data[middle:at]
        if form_of(kind, payload) & LIVE:
            node.live += 1
        if kind != _CLOCKLESS and payload[:CLOCK_BYTES] > node.top:
            node.top = payload[:CLOCK_BYTES]
        if kind in _TAGGED and payload[CLOCK_BYTES] != _VALUE:
            node.odd += 1
    return node


def _range(data: bytes, element: bytes, place: bytes, is_there: bool) -> tuple[int, int]:
    """From where to where the cells of an element stand in a leaf; or would stand.

    `is_there`: only if it is there does the caller care where.
    """
    at, size = 0, len(data)
    length = len(element)
    if data.find(element) < 0:
        if is_there:
            return 0, 0
        while at < size:
            element_bytes, payload_bytes = _unpack_sizes(data, at)
            start = at + INLINE_BYTES
            if place_of(data[start : start + element_bytes]) > place:
                break
            at = start + element_bytes + payload_bytes
        return at, at
    first = behind = -1
    insertion = -1
    while at < size:
        element_bytes, payload_bytes = _unpack_sizes(data, at)
        start = at + INLINE_BYTES
        following = start + element_bytes + payload_bytes
        if element_bytes == length and data[start : start + length] == element:
            if first < 0:
                first = at
            behind = following
        elif first >= 0:
            break
        elif insertion < 0 and place_of(data[start : start + element_bytes]) > place:
            insertion = at
            if not is_there:
                break
        at = following
    if first >= 0:
        return first, behind
    if is_there:
        return 0, 0
    return (insertion, insertion) if insertion >= 0 else (size, size)


def _changed(
    node: Node, element: bytes, place: bytes, before: bytes, cells: bytes
) -> list[Node]:
    if node.kids:
        at = kid_at(node.kids, place)
        return instead(node, at, _changed(node.kids[at], element, place, before, cells))
    start, end = _range(node.data, element, place, bool(before))
    assert end - start == len(before), "cells that are not there cannot go"
    data = node.data[:start] + cells + node.data[end:]
    if not data:
        return []
    gone, come = leaf_of(place, before), leaf_of(place, cells)
    count = node.count - gone.count + come.count
    low = min(node.low, place)
    if count > LEAF_ELEMENTS or (len(data) > LEAF_BYTES and count > 1):
        middle = _middle(data)
        element_bytes, _ = _unpack_sizes(data, middle)
        second = data[middle + INLINE_BYTES : middle + INLINE_BYTES + element_bytes]
        return [leaf_of(low, data[:middle]), leaf_of(place_of(second), data[middle:])]
    if gone.top == node.top and come.top < node.top:
        return [leaf_of(low, data)]
    made = Node(low, data, NO_KIDS)
    made.count = count
    made.weight = len(data)
    made.live = node.live - gone.live + come.live
    made.odd = node.odd - gone.odd + come.odd
    made.crowded = node.crowded - gone.crowded + come.crowded
    made.top = max(node.top, come.top)
    return [made]


def _middle(data: bytes) -> int:
    """Where the element begins that is nearest behind the middle, but not the first one."""
    at, size = 0, len(data)
    last = b""
    while at < size:
        element_bytes, payload_bytes = _unpack_sizes(data, at)
        start = at + INLINE_BYTES
        element = data[start : start + element_bytes]
        following = start + element_bytes + payload_bytes
        if element != last and last and (at >= size >> 1 or following == size):
            return at
        last = element
        at = following
    # Only one element stands behind the middle, with several cells: it is the second leaf.
    return _last_element(data)


def _last_element(data: bytes) -> int:
    at, size, first = 0, len(data), 0
    last = b""
    while at < size:
        element_bytes, payload_bytes = _unpack_sizes(data, at)
        start = at + INLINE_BYTES
        element = data[start : start + element_bytes]
        if element != last:
            first, last = at, element
        at = start + element_bytes + payload_bytes
    return first
