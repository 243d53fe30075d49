"""`respdyn`: one program, a handful of commands, each loaded only when it is used."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from respdyn.config import SETTINGS
from respdyn.config_values import ConfigError, Setting, nearest

USAGE_ERROR: Final = 2


class Part(NamedTuple):
    """A command: the module that has `add_arguments(parser)` and `run(args)`, and its one line."""

    module: str
    summary: str


PARTS: Final = {
    "serve": Part("respdyn.cli.serve", "run one node in the foreground"),
    "cluster": Part("respdyn.cli.cluster", "run a whole local cluster in the foreground"),
    "admin": Part("respdyn.cli.admin", "look at a cluster: status, members, ring"),
    "cli": Part("respdyn.cli.cli", "send commands to a node, one line at a time"),
    "sim": Part("respdyn.cli.sim", "run simulated clusters from seeds"),
    "bench": Part("respdyn.cli.bench", "measure side by side with what else is installed"),
    "version": Part("respdyn.cli.version", "print versions"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="respdyn", allow_abbrev=False,
        description="A Redis-protocol server with Dynamo inside.",
        epilog="respdyn COMMAND --help says more.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    wanted = argv[0] if argv else ""
    chosen: dict[str, argparse.ArgumentParser] = {}
    for name, part in PARTS.items():
        if importlib.util.find_spec(part.module) is not None:
            chosen[name] = commands.add_parser(name, help=part.summary, allow_abbrev=False)
    if wanted not in chosen:
        return _without_command(parser, wanted, list(chosen))
    module = importlib.import_module(PARTS[wanted].module)
    module.add_arguments(chosen[wanted])
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        return _unknown(wanted, chosen[wanted], unknown[0])
    try:
        status = module.run(args)
    except ConfigError as wrong:
        return fail(str(wrong))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()      # no reader: say nothing about it
        return 1
    assert isinstance(status, int)
    return status


def fail(text: str, status: int = USAGE_ERROR) -> int:
    """One line for the person who typed the command; the exit status."""
    print(f"respdyn: {text}", file=sys.stderr)
    return status


def add_settings(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting, and `--config`."""
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    group = parser.add_argument_group(
        "settings", "each also as RESPDYN_NAME and in the file; flag before variable before file"
    )
    for setting in SETTINGS:
        group.add_argument(
            f"--{setting.name}", dest=f"setting_{setting.field}", metavar=_metavar(setting),
            help=_help(setting),
        )


def given_settings(args: argparse.Namespace) -> dict[str, str]:
    """The settings that were given as flags, name to text."""
    given = {}
    for setting in SETTINGS:
        value = getattr(args, f"setting_{setting.field}")
        if value is not None:
            given[setting.name] = value
    return given


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return {
        "int": "N", "bytes": "BYTES", "ms": "TIME", "seconds": "SECONDS", "text": "TEXT",
        "secret": "TEXT", "flag": "yes|no", "list": "A,B,...",
        "events": "LETTERS",
    }[setting.kind]


def _help(setting: Setting) -> str:
    default = setting.default
    if isinstance(default, bool):
        shown = "yes" if default else "no"
    elif isinstance(default, tuple):
        shown = ",".join(default)
    elif setting.kind == "ms":
        shown = f"{default}ms"
    else:
        shown = str(default)
    text = setting.doc.replace("%", "%%")
    return f"{text} (default {shown})" if shown and shown != "0" else text


def _without_command(parser: argparse.ArgumentParser, wanted: str, names: list[str]) -> int:
    if not wanted or wanted in ("-h", "--help", "help"):
        parser.print_help()
        return 0
    if wanted in ("-V", "--version"):
        return main(["version"])
    return fail(f"unknown command {wanted}{nearest(wanted, names)}; respdyn --help lists them")


def _unknown(name: str, parser: argparse.ArgumentParser, flag: str) -> int:
    known = [option for action in parser._actions for option in action.option_strings]
    what = "unknown flag" if flag.startswith("-") else "unexpected argument"
    close = nearest(flag.split("=")[0], known) if flag.startswith("-") else ""
    return fail(f"{name}: {what} {flag}{close}; respdyn {name} --help lists them")


if __name__ == "__main__":
    sys.exit(main())
