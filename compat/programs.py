"""The programs that compat/apps tries: what each did, and what became of it when a node was killed.

The versions are those that are pinned there; `matrix` makes the table of docs/compatibility.md.
"""

import json
import re
from typing import NamedTuple

from compat.places import HERE

_APPS = HERE / "apps"


class Program(NamedTuple):
    """One program, by its name on PyPI or npm."""

    name: str
    did: str
    killed: str


_TWO = "200 jobs, two workers"
PYTHON = (
    Program("celery", f"{_TWO} that know all nodes, late acknowledgement, results",
            "all done; a worker that gets an error when it notes what it has taken ends, and the"
            " job with it"),
    Program("rq", f"{_TWO}, results",
            "all done, 2 twice; what a worker that ended had begun may come minutes later"),
    Program("huey", f"{_TWO}, by list and by priority",
            "one lost in each: it was in a reply that the killed node did not send any more"),
    Program("dramatiq", _TWO, "all done, none twice"),
    Program("arq", f"{_TWO}, results", "all done, none twice"),
    Program("celery-once", "a task that is queued once", "-"),
    Program("Flask-Session", "a session found, shown and left at every node", "-"),
    Program("Flask-Caching", "work done once for all processes", "-"),
    Program("Flask-Limiter", "5 an hour over three nodes, moving window", "-"),
    Program("limits", "fixed, moving and sliding windows, hit at all nodes: exact",
            "100 of 100 allowed, no hit forgotten, no error, in each"),
    Program("Django", "its own Redis cache and sessions in it", "-"),
    Program("django-redis", "all that it adds: patterns, locks, sets, times to live",
            "60 visits, each counted once"),
    Program("django-ratelimit", "5 an hour", "-"),
    Program("channels-redis", "groups, channels, capacity; by sorted sets and by messages",
            "100 messages: none lost, none twice"),
    Program("redis", "redis-py's Lock and register_script; see also `clients`",
            "locks are taken and given back"),
    Program("python-redis-lock", "six threads at three nodes, one at a time",
            "locks are taken and given back"),
    Program("pottery", "Redlock and all collections", "locks are taken and given back"),
)
NODE = (
    Program("bullmq", f"{_TWO}; delays, priorities, flows, events", "all done, 1 twice"),
    Program("bull", f"{_TWO}; delays, priorities", "all done, 2 twice"),
    Program("bee-queue", f"{_TWO}; delays", "all done, none twice"),
    Program("redlock", "six loops at three nodes, one at a time", "-"),
    Program("@sesamecare-oss/redlock", "the same, two keys", "-"),
    Program("rate-limiter-flexible", "50 of 120 allowed over ioredis and node-redis", "-"),
    Program("connect-redis", "one session at three web servers", "-"),
    Program("@socket.io/redis-adapter", "broadcasts, rooms, all sockets; sharded too", "-"),
)


def table() -> str:
    """In Markdown."""
    lines = ["| program | version | what it did | while a node was killed and came back |",
             "|---|---|---|---|"]
    pins = _python_pins()
    lines += [f"| {one.name} | {pins[one.name]} | {one.did} | {one.killed} |" for one in PYTHON]
    pins = json.loads((_APPS / "node" / "package.json").read_text("utf-8"))["dependencies"]
    lines += [f"| {one.name} | {pins[one.name]} | {one.did} | {one.killed} |" for one in NODE]
    return "\n".join(lines) + "\n"


def _python_pins() -> dict[str, str]:
    """The older environment's first: a program in both has the newer version."""
    found: dict[str, str] = {}
    for name in ("older/requirements.txt", "requirements.txt"):
        for line in (_APPS / name).read_text("utf-8").splitlines():
            if pin := re.match(r"([\w.-]+)(?:\[\w+\])?==(\S+)", line):
                found[pin[1]] = pin[2]
    return found
