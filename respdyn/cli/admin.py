"""`respdyn admin`: a cluster as tables that a person can read, or as JSON.

It queries one node by the commands that any client may use (DYN.CLUSTER STATUS, VERIFY, ...), so
what it shows is the cluster as that node sees it. The first line of what a person reads is the
verdict. Exit status 1 when `verify` finds a difference or cannot reach all owners, or `repair` does
not end. Changes of membership are in `changes`.
"""

import argparse
import json
from collections.abc import Callable

import hiredis

from respdyn.cli import changes
from respdyn.cli.client import (
    ClientError,
    Reply,
    add_connection,
    connect,
    filled,
    named,
    table,
    text_of,
)
from respdyn.cli.main import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which node, and what to show."""
    add_connection(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.add_argument("action", choices=[*sorted(SHOWN), *changes.ACTIONS],
                        help="what to show, or what to change")
    parser.add_argument("words", nargs="*", metavar="WORD",
                        help="of a change: nodes by HOST:PORT or the beginning of their id")


def run(args: argparse.Namespace) -> int:
    """Ask and show; the exit status."""
    if wrong_words := changes.wrong_words(args.action, args.words):
        return fail(wrong_words)
    try:
        client = connect(args)
        if args.action in LONG:
            client.be_patient(PATIENCE_S)
        reply = client.call("DYN.CLUSTER", args.action.upper(), *args.words)
        if isinstance(reply, hiredis.ReplyError):
            raise ClientError(f"{args.node}: {reply}")
        if args.action in changes.ACTIONS:
            plain = changes.plain(args.action, reply)
            print(json.dumps(plain, indent=2) if args.json else
                  changes.shown(args.action, args.words, reply))
        elif args.json:
            print(json.dumps(_plain(reply, args.action), indent=2))
        else:
            print(SHOWN[args.action](reply))
        return 1 if args.action in LONG and not _is_good(reply) else 0
    except ClientError as wrong:
        return fail(str(wrong), 1)


def status(reply: Reply) -> str:
    """The cluster in a few lines, and a row for each member."""
    facts = named(reply)
    members = _rows(facts.pop("members", []))
    lines = [text_of(facts.pop("verdict", None))]
    lines += [f"  - {text_of(problem)}" for problem in _list(facts.pop("problems", []))]
    columns = [
        (title, name, shown) for title, name, shown in STATUS_COLUMNS
        if any(text_of(member.get(name)) for member in members)
    ]
    lines += ["", table([title for title, _, _ in columns], [
        [shown(member.get(name)) or "-" for _, name, shown in columns] for member in members
    ]), ""]
    about = [f"{name} {_short(text_of(value))}" for name, value in facts.items()]
    return "\n".join([*lines, *filled(about)])


def verify(reply: Reply) -> str:
    """The verdict, and the keys that differ, with each copy's digest."""
    return _outcome(reply, _differing(named(reply).pop("keys", [])))


def repair(reply: Reply) -> str:
    """The verdict, and what was done."""
    return _outcome(reply, "")


def _outcome(reply: Reply, details: str) -> str:
    facts = named(reply)
    facts.pop("keys", None)
    lines = [text_of(facts.pop("verdict", None)), ""]
    lines += [f"  - not asked: {text_of(name)}" for name in _list(facts.pop("not-asked", []))]
    lines += filled([f"{name} {text_of(value)}" for name, value in facts.items()])
    return "\n".join([*lines, *(["", details] if details else [])])


def _differing(keys: Reply) -> str:
    rows = []
    for row in _rows(keys):
        copies = named(row.get("copies"))
        held = "  ".join(f"{name[:8]}:{text_of(copies[name])[:12]}" for name in sorted(copies))
        rows.append([text_of(row.get("db")), text_of(row.get("key")), held])
    return table(["db", "key", "what each node holds"], rows) if rows else ""


def _is_good(reply: Reply) -> bool:
    facts = named(reply)
    found = [facts.get(name) for name in ("differences", "left") if name in facts]
    return not any(found) and not _list(facts.get("not-asked", []))


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


SHOWN: dict[str, Callable[[Reply], str]] = {
    "status": status, "members": members, "ring": ring, "verify": verify, "repair": repair,
}
LONG = ("verify", "repair")
PATIENCE_S = 24 * 3600.0


def _age(value: Reply) -> str:
    """Milliseconds as people say them; -1 is never."""
    if not isinstance(value, int):
        return ""
    if value < 0:
        return "never"
    seconds = round(value / 1000)
    if seconds < 120:
        return f"{seconds}s"
    return f"{seconds // 60}m" if seconds < 7200 else f"{seconds // 3600}h"


def _bytes(value: Reply) -> str:
    """A size as people say it."""
    size = float(value) if isinstance(value, int) else 0.0
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.0f}T"


def _offset(value: Reply) -> str:
    return f"{value:+}ms" if isinstance(value, int) else ""


def _short(value: str) -> str:
    """Ids are shown by their beginning."""
    return value[:8] if len(value) in (32, 40) else value


# Of `status`: title, field, how it is shown. A column that is empty in every row is left out.
STATUS_COLUMNS: tuple[tuple[str, str, Callable[[Reply], str]], ...] = (
    ("node", "node", lambda value: text_of(value)[:8]),
    ("address", "address", text_of),
    ("zone", "zone", text_of),
    ("state", "state", text_of),
    ("spared", "spared", text_of),
    ("disk", "disk", lambda value: text_of(value)[:30]),
    ("partitions", "partitions", text_of),
    ("keys", "keys", text_of),
    ("hints", "hints", text_of),
    ("hint bytes", "hint-bytes", _bytes),
    ("oldest hint", "hint-age-ms", _age),
    ("compared", "clean-exchange-age-ms", _age),
    ("clock", "clock-offset-ms", _offset),
    ("clients", "clients", text_of),
    ("in flight", "in-flight", text_of),
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
    facts = named(reply)
    shown = _object(facts)
    for name in ("members", "keys"):
        if name in facts:
            shown[name] = [_object(row) for row in _rows(facts[name])]
    return shown


def _object(facts: dict[str, Reply]) -> dict[str, object]:
    return {
        name: _object(named(value)) if name == "copies" else _value(value)
        for name, value in facts.items()
    }


def _value(value: Reply) -> object:
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value if isinstance(value, int | float | None) else text_of(value)
