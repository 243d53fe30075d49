"""`respdyn cli`: a small line client, for machines without redis-cli.

    respdyn cli get greeting            one command
    respdyn cli                         a prompt; commands may also come through a pipe
"""

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator

import hiredis

from respdyn.cli.client import Client, ClientError, Reply, add_connection, connect
from respdyn.cli.main import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which node, and perhaps a command."""
    add_connection(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ARG ...",
                        help="a command; without it they are read line by line")


def run(args: argparse.Namespace) -> int:
    """One command, or lines until the end."""
    try:
        client = connect(args)
        if args.words:
            return _once(client, args.words)
        status = 0
        for words in _commands(client.address):
            if words[0].lower() in ("quit", "exit"):
                break
            status = _once(client, words)
        return status
    except ClientError as wrong:
        return fail(str(wrong), 1)


def _once(client: Client, words: list[str]) -> int:
    reply = client.call(*words)
    print("\n".join(lines(reply)))
    return 1 if isinstance(reply, hiredis.ReplyError) else 0


def _commands(address: str) -> Iterator[list[str]]:
    """The words of each line that has some."""
    for line in _lines(f"{address}> "):
        try:
            words = shlex.split(line)
        except ValueError as wrong:
            print(f"(error) {wrong}")
            continue
        if words:
            yield words


def _lines(prompt: str) -> Iterable[str]:
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    try:
        import readline  # noqa: F401  gives input() a history
    except ImportError:
        pass
    while True:
        try:
            yield input(prompt)
        except EOFError:
            print()
            return


def lines(reply: Reply, indent: str = "") -> list[str]:
    """A reply as redis-cli shows it.

    >>> lines([b"a", 1, [None]])
    ['1) "a"', '2) (integer) 1', '3) 1) (nil)']
    """
    if isinstance(reply, hiredis.ReplyError):
        return [f"(error) {reply}"]
    if reply is None:
        return ["(nil)"]
    if isinstance(reply, bool):
        return [f"({str(reply).lower()})"]
    if isinstance(reply, int):
        return [f"(integer) {reply}"]
    if isinstance(reply, bytes):
        return [_quoted(reply)]
    if isinstance(reply, dict):
        reply = [item for pair in reply.items() for item in pair]
    if not isinstance(reply, list):
        return [str(reply)]
    if not reply:
        return ["(empty array)"]
    shown = []
    for number, item in enumerate(reply, 1):
        mark = f"{number}) ".rjust(len(str(len(reply))) + 2)
        inner = lines(item, indent + " " * len(mark))
        shown.append((indent if number > 1 else "") + mark + inner[0])
        shown += inner[1:]
    return shown


def _quoted(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and (text or not data):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    special = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
    return '"' + "".join(
        special.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in data
    ) + '"'
