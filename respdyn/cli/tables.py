"""Tables in a terminal: columns as wide as they must be, and words that fill lines."""

from collections.abc import Sequence


def filled(words: list[str], width: int = 96) -> list[str]:
    """Words in lines, two spaces between them."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]}  {word}".strip()
    return lines


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be.

    >>> print(table(["node", "keys"], [["a", "1"], ["bcd", "200"]]))
    node  keys
    a     1
    bcd   200
    """
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    )
