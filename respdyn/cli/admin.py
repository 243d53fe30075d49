"""`respdyn admin`: a cluster as tables that a person can read, or as JSON.

It asks one node by the commands that any client may use (DYN.CLUSTER STATUS, MEMBERS, RING), so
what it shows is the cluster as that node sees it.
"""

import argparse
import json
from collections.abc import Callable, Sequence

import hiredis

from respdyn.cli.client import ClientError, Reply, add_connection, connect, named, text_of
from respdyn.cli.main import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which node, and what to show."""
    add_connection(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.add_argument("action", choices=sorted(SHOWN), help="what to show")


def run(args: argparse.Namespace) -> int:
    """Ask and show; the exit status."""
    try:
        client = connect(args)
        reply = client.call("DYN.CLUSTER", args.action.upper())
        if isinstance(reply, hiredis.ReplyError):
            raise ClientError(f"{args.node}: {reply}")
        if args.json:
            print(json.dumps(_plain(reply, args.action), indent=2))
        else:
            print(SHOWN[args.action](reply))
    except ClientError as wrong:
        return fail(str(wrong), 1)
    return 0


def status(reply: Reply) -> str:
    """The cluster in a few lines, and a row for each member."""
    facts = named(reply)
    members = _rows(facts.pop("members", []))
    head = [(name, text_of(value)) for name, value in facts.items()]
    width = max((len(name) for name, _ in head), default=0)
    lines = [f"{name.ljust(width)}  {value}" for name, value in head]
    return "\n".join([*lines, "", _members_table(members)])


def members(reply: Reply) -> str:
    """A row for each member."""
    return _members_table(_rows(reply))


def ring(reply: Reply) -> str:
    """A row for each run of partitions with the same owners in the same order."""
    facts = named(reply)
    rows: list[list[str]] = []
    for row in _list(facts.get("partitions")):
        *numbers, owners = _list(row)
        partition, first, last = map(text_of, numbers)
        shown = "  ".join(text_of(owner)[:8] for owner in _list(owners))
        if rows and rows[-1][2] == shown:
            rows[-1][0] = f"{rows[-1][0].split('-')[0]}-{partition}"
            rows[-1][1] = f"{rows[-1][1].split('-')[0]}-{last}"
        else:
            rows.append([partition, f"{first}-{last}", shown])
    head = f"cluster {text_of(facts.get('cluster'))}  ring version {text_of(facts.get('version'))}"
    return head + "\n\n" + table(["partitions", "slots", "owners, coordinator first"], rows)


SHOWN: dict[str, Callable[[Reply], str]] = {"status": status, "members": members, "ring": ring}


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


def _members_table(members: list[dict[str, Reply]]) -> str:
    columns = list(dict.fromkeys(name for member in members for name in member))
    return table(columns, [
        [_cell(name, member.get(name)) for name in columns] for member in members
    ])


def _cell(name: str, value: Reply) -> str:
    text = text_of(value)
    return text[:8] if name == "node" else text or "-"


def _rows(reply: Reply) -> list[dict[str, Reply]]:
    return [named(row) for row in _list(reply)]


def _list(reply: Reply) -> list[Reply]:
    if not isinstance(reply, list):
        raise ClientError(f"unexpected reply {text_of(reply)!r}")
    return reply


def _plain(reply: Reply, action: str) -> object:
    """The reply as JSON values, its maps as objects."""
    if action == "members":
        return [_object(row) for row in _rows(reply)]
    facts = _object(named(reply))
    if action == "status":
        facts["members"] = [_object(row) for row in _rows(named(reply).get("members"))]
    return facts


def _object(facts: dict[str, Reply]) -> dict[str, object]:
    return {name: _value(value) for name, value in facts.items()}


def _value(value: Reply) -> object:
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value if isinstance(value, int | float | None) else text_of(value)
