"""`respdyn serve`: one node in the foreground, until a signal."""

import argparse

from respdyn.cli.large_pages import begin_anew
from respdyn.cli.main import add_settings, fail
from respdyn.cli.reading import file_of, read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every setting is a flag."""
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Serve; the exit status."""
    settings = read_settings(args)
    begin_anew()
    # A contradiction is reported without waiting for the server to load.
    from respdyn.server.listeners import StartError
    from respdyn.server.log import Log
    from respdyn.server.serve import serve

    try:
        return serve(settings, Log(settings.log_format), file_of(args))
    except StartError as wrong:
        return fail(str(wrong))
