"""Where jobs write that they were done: a file, one line each, whole however many append."""

import os


def done(number: int) -> None:
    """This job was done once more."""
    with open(os.environ["LEDGER"], "a", encoding="ascii") as ledger:
        ledger.write(f"{number}\n")
