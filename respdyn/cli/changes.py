"""`respdyn admin join`, `leave`, ... `plan`, `commit`: changes of membership from the command line.

Each is one DYN.CLUSTER command to one node, which keeps what is staged until it is committed or
cleared: stage, look at the plan and commit at the same node.
"""

from respdyn.cli.client import Reply, named, table, text_of

# How many words each takes, at least and at most, and what they are.
ACTIONS: dict[str, tuple[int, int, str]] = {
    "join": (1, 5, "NODE [weight W] [zone Z]"),
    "leave": (1, 1, "NODE"),
    "replace": (2, 2, "NODE NEWCOMER"),
    "force-remove": (1, 1, "NODE"),
    "change": (3, 5, "NODE [weight W] [zone Z]"),
    "plan": (0, 0, ""),
    "commit": (0, 0, ""),
    "clear": (0, 0, ""),
    "drain": (0, 1, "[on|off]"),
    "renew-keys": (0, 0, ""),
}
_NEXT = {
    "join": "staged; next: plan, then commit",
    "leave": "staged; next: plan, then commit",
    "replace": "staged; next: plan, then commit",
    "force-remove": "staged; next: plan, then commit",
    "change": "staged; next: plan, then commit",
    "commit": "committed; status shows how far it is",
    "clear": "nothing is staged any more",
    "renew-keys": "done: tokens that were made before are good until the next renewal",
    "drain": "done: other nodes coordinate in its place; it can be stopped",
}
_MOST_MOVES = 40        # rows of single moves; --json has them all


def wrong_words(action: str, words: list[str]) -> str:
    """What is wrong with the number of words, or ""."""
    least, most, usage = ACTIONS.get(action, (0, 0, ""))
    if least <= len(words) <= most:
        return ""
    return f"usage: respdyn admin {action} {usage}".rstrip()


def shown(action: str, words: list[str], reply: Reply) -> str:
    """What to print for the reply of an action."""
    if action == "plan":
        return plan(reply)
    if action == "drain" and words and words[0].lower() == "off":
        return "it coordinates again"
    return _NEXT[action]


def plan(reply: Reply) -> str:
    """What a plan shows: changes, warnings, a row for each node, the moves."""
    facts = named(reply)
    lines = ["changes:"] + [f"  {text_of(one)}" for one in _items(facts, "changes")]
    warnings = _items(facts, "warnings")
    if warnings:
        lines += ["", "WARNINGS:"] + [f"  {text_of(one)}" for one in warnings]
    nodes = [named(row) for row in _items(facts, "nodes")]
    columns = list(nodes[0]) if nodes else []
    lines += ["", table(columns, [
        [text_of(row.get(name))[:8] if name == "node" else text_of(row.get(name)) or "-"
         for name in columns] for row in nodes
    ])]
    lines += ["", f"{text_of(facts.get('moves'))} copies of partitions move, "
                  f"{text_of(facts.get('records'))} records, about "
                  f"{_size(int(text_of(facts.get('bytes')) or 0))}; N is then "
                  f"{text_of(facts.get('n'))}"]
    moves = [list(row) for row in _items(facts, "partitions") if isinstance(row, list)]
    if moves:
        rows = [
            [text_of(number), text_of(source)[:8] or "(one more)", text_of(target)[:8],
             text_of(records), _size(int(text_of(size)))]
            for number, source, target, records, size in moves[:_MOST_MOVES]
        ]
        lines += ["", table(["partition", "from", "to", "records", "bytes"], rows)]
        if len(moves) > _MOST_MOVES:
            lines.append(f"... and {len(moves) - _MOST_MOVES} more (--json shows all)")
    return "\n".join(lines)


def plain(action: str, reply: Reply) -> object:
    """The reply as JSON values."""
    if action != "plan":
        return {"action": action, "reply": text_of(reply)}
    facts = named(reply)
    found: dict[str, object] = {
        name: int(text_of(facts[name])) for name in ("ring-version", "n", "moves", "records",
                                                      "bytes") if name in facts
    }
    found["changes"] = [text_of(one) for one in _items(facts, "changes")]
    found["warnings"] = [text_of(one) for one in _items(facts, "warnings")]
    found["nodes"] = [
        {name: value if isinstance(value, int) else text_of(value)
         for name, value in named(row).items()} for row in _items(facts, "nodes")
    ]
    found["partitions"] = [
        dict(zip(("partition", "from", "to", "records", "bytes"),
                 (one if isinstance(one, int) else text_of(one) for one in row), strict=True))
        for row in _items(facts, "partitions") if isinstance(row, list)
    ]
    return found


def _items(facts: dict[str, Reply], name: str) -> list[Reply]:
    value = facts.get(name)
    return value if isinstance(value, list) else []


def _size(count: int) -> str:
    """Bytes as a person says them.

    >>> [_size(900), _size(15_000), _size(3_000_000)]
    ['900 B', '14 KiB', '2.9 MiB']
    """
    if count < 1024:
        return f"{count} B"
    if count < 1 << 20:
        return f"{count // 1024} KiB"
    return f"{count / (1 << 20):.1f} MiB"
