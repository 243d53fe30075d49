"""Commands on pieces of a string: appending, ranges, what two strings have in common.

The string is a register, not a sequence: a change of a piece writes the whole value anew, so of two
concurrent changes one is shown. A counter is taken as its decimal text. Sizes are checked before
anything is allocated.

LCS fills a table of (length + 1) x (length + 1) cells. Redis bounds its memory; here it is its time
that must be bounded, since nothing else runs meanwhile. So the limit is lower, its text the same.

Source: Redis `t_string.c`.
"""

from collections.abc import Iterable
from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import parse_integer, syntax_error, word, wrong_arity
from respdyn.commands.declare import GATHER, READ, UPDATE, Argv, Command, Further, Then
from respdyn.commands.folding import last_pairs, once, payload_of
from respdyn.errors import ReplyError
from respdyn.resp.replies import EMPTY, ZERO, array, bulk, bulk_view, integer, map_
from respdyn.types import strings, values
from respdyn.types.values import view

STRING_MAX: Final = 512 * 1024 * 1024
_ZEROS: Final = bytes(1 << 20)
LCS_CELLS_MAX: Final = 1 << 22          # about half a second

_TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
_LCS_TOO_LONG = (
    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
)
_LCS_CONTRADICTION = "ERR If you want both the length and indexes, please just use IDX."


def rewrite(rec: bytes, now_ms: int, stamp: Stamp, *parts: bytes | memoryview) -> bytes:
    """The delta that puts a changed value, of these parts, in the place of the old one.

    It keeps the expiry.
    """
    return strings.assign_parts(rec, stamp, parts, values.expire_at(rec, now_ms) or 0)


def zeros(count: int) -> list[bytes]:
    """So many bytes of zero, as parts: they share their memory."""
    return [_ZEROS] * (count // len(_ZEROS)) + [_ZEROS[: count % len(_ZEROS)]]


def append(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    found = view(rec, now_ms)
    if found is None:
        return integer(len(argv[2])), strings.assign(rec, stamp, argv[2], 0)
    if len(found) + len(argv[2]) > STRING_MAX:
        raise ReplyError(_TOO_LONG)
    return integer(len(found) + len(argv[2])), rewrite(rec, now_ms, stamp, found, argv[2])


def getrange(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    start, end = parse_integer(argv[2]), parse_integer(argv[3])
    found = view(rec, now_ms)
    if not found or (start < 0 and end < 0 and start > end):
        return EMPTY
    start, end = clamp(start, end, len(found))
    return bulk_view(found[start : end + 1]) if start <= end else EMPTY


def clamp(start: int, end: int, size: int) -> tuple[int, int]:
    """First and last position, both inclusive, of a range that may count from the end."""
    if start < 0:
        start = max(size + start, 0)
    if end < 0:
        end = max(size + end, 0)
    return start, min(end, size - 1)


def setrange(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    offset = parse_integer(argv[2])
    if offset < 0:
        raise ReplyError("ERR offset is out of range")
    found = view(rec, now_ms) or memoryview(b"")
    piece = argv[3]
    if not piece:
        return integer(len(found)), b""
    if offset + len(piece) > STRING_MAX:
        raise ReplyError(_TOO_LONG)
    gap, behind = zeros(max(0, offset - len(found))), found[offset + len(piece) :]
    size = max(len(found), offset + len(piece))
    return integer(size), rewrite(rec, now_ms, stamp, found[:offset], *gap, piece, behind)


def lcs_parts(argv: Argv) -> list[Argv]:
    return [[b"TYPE", argv[1]], [b"TYPE", argv[2]]]


def lcs_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """If both are strings, or absent, read them."""
    if any(reply not in (b"+string\r\n", b"+none\r\n") for reply in replies):
        raise ReplyError("ERR The specified keys must contain string values")
    _lcs_options(argv)
    reading = [[b"GET", argv[1]], [b"GET", argv[2]]]
    return Further(reading, lambda found: _lcs(argv, found, resp3))


def _lcs(argv: Argv, replies: list[bytes], resp3: bool) -> bytes:
    """LCS of the two strings that were read; an absent key counts as an empty string."""
    given, least = _lcs_options(argv)
    a, b = payload_of(replies[0]) or b"", payload_of(replies[1]) or b""
    if (len(a) + 1) * (len(b) + 1) > LCS_CELLS_MAX:
        raise ReplyError(_LCS_TOO_LONG)
    rows = _lcs_table(a, b)
    length = rows[len(a)][len(b)]
    if b"LEN" in given:
        return integer(length)
    common, matches = _lcs_walk(a, b, rows)
    if b"IDX" not in given:
        return bulk(common)
    shown = []
    for a_start, b_start, size in matches:
        if size < least:
            continue
        items = [_span(a_start, size), _span(b_start, size)]
        if b"WITHMATCHLEN" in given:
            items.append(integer(size))
        shown.append(array(items))
    return map_([(bulk(b"matches"), array(shown)), (bulk(b"len"), integer(length))], resp3)


def _lcs_options(argv: Argv) -> tuple[set[bytes], int]:
    given: set[bytes] = set()
    least = 0
    position = 3
    while position < len(argv):
        option = word(argv[position])
        if option == b"MINMATCHLEN" and position + 1 < len(argv):
            position += 1
            least = max(parse_integer(argv[position]), 0)
        elif option in (b"LEN", b"IDX", b"WITHMATCHLEN"):
            given.add(option)
        else:
            raise syntax_error()
        position += 1
    if b"LEN" in given and b"IDX" in given:
        raise ReplyError(_LCS_CONTRADICTION)
    return given, least


def _lcs_table(a: bytes, b: bytes) -> list[list[int]]:
    """Row i, column j: the length of what the first i and the first j bytes have in common."""
    above = [0] * (len(b) + 1)
    rows = [above]
    for letter in a:
        row = [0]
        left = 0
        for column, other in enumerate(b):
            if letter == other:
                left = above[column] + 1
            else:
                over = above[column + 1]
                left = max(left, over)
            row.append(left)
        rows.append(row)
        above = row
    return rows


def _lcs_walk(
    a: bytes, b: bytes, rows: list[list[int]]
) -> tuple[bytes, list[tuple[int, int, int]]]:
    """The common bytes, and from the end (start in a, start in b, length) of each unbroken run."""
    common = bytearray()
    matches: list[tuple[int, int, int]] = []
    i, j, size = len(a), len(b), 0
    while i and j:
        if a[i - 1] == b[j - 1]:
            common.append(a[i - 1])
            i, j, size = i - 1, j - 1, size + 1
            continue
        if size:
            matches.append((i, j, size))
            size = 0
        if rows[i - 1][j] > rows[i][j - 1]:
            i -= 1
        else:
            j -= 1
    if size:
        matches.append((i, j, size))
    common.reverse()
    return bytes(common), matches


def _span(start: int, size: int) -> bytes:
    return array([integer(start), integer(start + size - 1)])


def msetnx_parts(argv: Argv) -> Iterable[Argv]:
    if len(argv) % 2 == 0:
        raise wrong_arity("msetnx")
    return ([b"EXISTS", key] for key in once(argv[1::2]))


def msetnx_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """0 if one of the keys exists; else one SETNX for each."""
    if any(reply != ZERO for reply in replies):
        return ZERO
    return Further(([b"SETNX", key, new] for key, new in last_pairs(argv)), all_or_error)


def all_or_error(replies: list[bytes]) -> bytes:
    """MSETNX's end. It cannot take back what it set, so it says if that was not everything."""
    made = sum(reply != ZERO for reply in replies)
    if made not in (0, len(replies)):
        return (
            b"-PARTIAL %d of %d keys were set: another client set the others meanwhile\r\n"
            % (made, len(replies))
        )
    return integer(1 if made else 0)


COMMANDS: tuple[Command, ...] = (
    Command(
        "append", "APPEND key value",
        "Appends to the value of a key and gives the new length. Writes the whole value.",
        since="2.0.0", group="string", flags="write denyoom fast", access="RW insert",
        promise="per-coordinator", route=UPDATE, write=append, event="$ append",
        reports_siblings=True,
    ),
    Command(
        "getrange", "GETRANGE key start end", "Gives a part of the value of a key.",
        since="2.4.0", group="string", flags="readonly", access="RO access",
        complexity="O(N) with N the length of what is given",
        promise="last-writer", route=READ, read=getrange,
    ),
    Command(
        "substr", "SUBSTR key start end", "An old name of GETRANGE.",
        since="1.0.0", group="string", flags="readonly", access="RO access",
        complexity="O(N) with N the length of what is given",
        promise="last-writer", route=READ, read=getrange,
    ),
    Command(
        "setrange", "SETRANGE key offset value",
        "Overwrites a part of the value of a key. Writes the whole value.",
        since="2.2.0", group="string", flags="write denyoom", access="RW update",
        complexity="O(N) with N the length of the value",
        promise="per-coordinator", route=UPDATE, write=setrange, event="$ setrange",
        reports_siblings=True,
    ),
    Command(
        "msetnx", "MSETNX key value [key value ...]",
        "Stores the values of several keys if none exists. Not one step: it looks, then sets each"
        " that is still absent, and answers an error if another client came between.",
        since="1.0.1", group="string", flags="write denyoom", access="OW insert",
        complexity="O(N) with N the number of keys",
        tips=("request_policy:multi_shard", "response_policy:agg_min"),
        promise="per-coordinator", route=GATHER, parts=msetnx_parts, then=msetnx_then,
    ),
    Command(
        "lcs", "LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
        "Gives the longest common subsequence of two values, of at most 4 million pairs of bytes.",
        since="7.0.0", group="string", flags="readonly", access="RO access",
        complexity="O(N*M) with N and M the lengths of the values",
        promise="last-writer", route=GATHER, parts=lcs_parts, then=lcs_then,
    ),
)
