"""The log: one line per change of state, on standard error, for a person or for a program.

    2026-11-21T03:00:00.123Z peer_up peer=5f3a2e01 reason="round trip"
    {"at": "2026-11-21T03:00:00.123Z", "event": "peer_up", "peer": "5f3a2e01", "reason": "..."}

Never a line per operation, and never a user's value.
"""

import json
import sys
import time
from typing import TextIO

from respdyn.ports import Trace


class Log(Trace):
    """Events as lines of text or JSON."""

    def __init__(self, form: str = "text", stream: TextIO | None = None) -> None:
        self._is_json = form == "json"
        self._stream = stream or sys.stderr

    def event(self, name: str, **fields: object) -> None:
        """Write one line. A log that cannot be written stops nothing."""
        at = _now()
        if self._is_json:
            line = json.dumps({"at": at, "event": name, **fields}, default=str)
        else:
            line = " ".join([at, name, *(f"{key}={shown(value)}" for key, value in fields.items())])
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass


def shown(value: object) -> str:
    """The value as one word, quoted where it would not be one.

    >>> shown(3), shown("on"), shown("port in use"), shown("")
    ('3', 'on', '"port in use"', '""')
    """
    text = "yes" if value is True else "no" if value is False else str(value)
    if text and text.isprintable() and not any(c in text for c in ' ="'):
        return text
    return json.dumps(text, ensure_ascii=False)


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{clock}.{nanoseconds // 1_000_000:03d}Z"
