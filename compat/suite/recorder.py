"""A pytest plugin for redis-py's suite: writes down what became of each test and what it sent.

One JSON object a line, into the file that `COMPAT_RECORD` names:

    {"test": id, "outcome": "passed", "why": "", "seconds": 0.1, "commands": ["get", "client|id"]}

Commands count while the test's own body runs; what fixtures send is not the test's subject. It sees
them where redis-py turns words into bytes, so commands sent to mocked sockets are seen as well.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.connection import PythonRespSerializer

CONTAINERS = frozenset(
    "acl client cluster command config debug function latency memory module object pubsub script"
    " slowlog xgroup xinfo".split()
)
_MOST_WORDS = 300       # of an error's text


class Recorder:
    """What the current test has done so far, and where finished ones are written."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "w", encoding="utf-8")      # noqa: SIM115
        self._is_body = False
        self._commands: set[str] = set()
        self._outcome = ""
        self._why = ""
        self._seconds = 0.0

    def sent(self, words: tuple[Any, ...]) -> None:
        """A command is on its way."""
        if self._is_body:
            self._commands.add(name_of(words))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Run the tests that the file named by `COMPAT_ONLY` lists, if it does."""
        path = os.environ.get("COMPAT_ONLY")
        if path:
            with open(path, encoding="utf-8") as file:
                chosen = set(file.read().split("\n"))
            items[:] = [item for item in items if item.nodeid in chosen]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._commands = set()
        self._outcome = self._why = ""
        self._seconds = 0.0
        done = yield
        record = {
            "test": item.nodeid, "outcome": self._outcome, "why": self._why,
            "seconds": round(self._seconds, 2), "commands": sorted(self._commands),
        }
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        self._is_body = True
        try:
            return (yield)
        finally:
            self._is_body = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds += report.duration
        outcome: str = report.outcome
        if report.when != "call" and outcome == "passed":
            return
        if hasattr(report, "wasxfail"):
            outcome = "skipped"
        elif outcome == "failed" and report.when != "call":
            outcome = "error"
        if self._outcome in ("failed", "error"):
            return
        self._outcome = outcome
        if outcome != "passed":
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash else str(report.longrepr)
            self._why = text[:_MOST_WORDS]


def name_of(words: tuple[Any, ...]) -> str:
    """`get` of ("GET", "k"), `client|id` of ("CLIENT ID",)."""
    text = [
        word.decode("latin-1") if isinstance(word, bytes) else str(word)
        for word in words[:2]
    ]
    parts = " ".join(text).lower().split() or [""]
    if parts[0] in CONTAINERS and len(parts) > 1:
        return f"{parts[0]}|{parts[1]}"
    return parts[0]


def watch(packer: Any, method: str, recorder: Recorder) -> None:
    """Have the recorder given everything that this class packs."""
    pack = getattr(packer, method)

    def packing(self: Any, *words: Any) -> Any:
        recorder.sent(words)
        return pack(self, *words)

    setattr(packer, method, packing)


def pytest_configure(config: pytest.Config) -> None:
    recorder = Recorder(os.environ["COMPAT_RECORD"])
    config.pluginmanager.register(recorder)
    watch(PythonRespSerializer, "pack", recorder)
    watch(AbstractConnection, "pack_command", recorder)
