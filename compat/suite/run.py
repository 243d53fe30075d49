"""redis-py's own tests, run against respdyn and judged by what they do on Redis.

Three modes: `one` and `three` nodes through the client port, and `cluster`, where the tests that
redis-py has for Redis Cluster go through the cluster port of three nodes. A run fails if a test
fails that is not expected to, or passes that is expected to fail; one that fails and is not
expected to gets a second chance, since some measure time.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from compat import places, servers
from compat.suite import expectations
from compat.suite.expectations import Commands, why_test_is_out

MODES = ("one", "three", "cluster")
BAR = 0.9

# Of redis-py's tests, those about Redis's modules, about TLS and other things beside a server that
# the tests expect to find running, and those that need a Redis that a manager looks after.
LEFT_OUT = (
    "auth", "bloom", "http", "json", "multidb", "observability", "scenario", "search", "ssl",
    "timeseries", "vsets", "himport", "himport_integration",
)
_SECONDS = 20           # for one test
_TRIES = 2


class Record:
    """What became of one test."""

    def __init__(self, line: str) -> None:
        given = json.loads(line)
        self.test: str = given["test"]
        self.has_passed: bool = given["outcome"] == "passed"
        self.outcome: str = given["outcome"]
        self.why: str = given["why"]
        self.commands = frozenset(given["commands"])


def run_suite(url: str, nodes: int, only: Iterable[str] | None = None) -> dict[str, Record]:
    """Run the tests against what listens at this URL. `nodes`: of a cluster, 0 if it is none."""
    home = places.redis_py()
    python = places.venv("suite-venv", expectations.SUITE / "requirements.txt")
    tests = [
        f"--ignore={found.relative_to(home)}"
        for name in LEFT_OUT for at in ("tests", "tests/test_asyncio")
        for found in (home / at / f"test_{name}.py", home / at / f"test_{name}") if found.exists()
    ]
    tests += [f"--ignore={at}/maint_notifications" for at in ("tests", "tests/test_asyncio")]
    marks = "not redismod and not ssl and not cp_integration and not multidb_integration"
    marks += " and not onlynoncluster" if nodes else " and not onlycluster"
    with tempfile.TemporaryDirectory() as directory:
        record = Path(directory) / "record.jsonl"
        environment = {**places.clean_environment(), "COMPAT_RECORD": str(record),
                       "PYTHONPATH": f"{expectations.SUITE}{os.pathsep}{home}"}
        if only is not None:
            chosen = Path(directory) / "only.txt"
            chosen.write_text("\n".join(only), encoding="utf-8")
            environment["COMPAT_ONLY"] = str(chosen)
        # redis-py's own options want a log of every test and the coverage of the library.
        done = subprocess.run(
            [str(python), "-m", "pytest", "-o", "addopts=", "-o", "log_cli=false",
             "-o", "filterwarnings=ignore", "-p", "recorder", "-p", "no:cacheprovider", "-q",
             "--tb=no", "--no-header", "-r", "N", f"--timeout={_SECONDS}", f"--redis-url={url}",
             "--redis-mod-url=redis://127.0.0.1:1", f"--redis-cluster-nodes={nodes}", "-m", marks,
             *tests, "tests"],
            cwd=home, env=environment, check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode not in (0, 1) or not record.exists():
            raise places.CompatError(f"pytest ended with {done.returncode}: {done.stdout[-1500:]}")
        lines = record.read_text(encoding="utf-8").splitlines()
    return {one.test: one for one in map(Record, lines)}


def judge() -> int:
    """Write anew what Redis itself does with the tests."""
    for mode in ("one", "cluster"):
        with ExitStack() as stack:
            if mode == "cluster":
                cluster = stack.enter_context(servers.redis_cluster())
                records = run_suite(_url(cluster[0], 0), len(cluster))
            else:
                records = run_suite(_url(stack.enter_context(servers.redis()), 0), 0)
        judged: Commands = {
            one.test: one.commands for one in records.values() if one.has_passed and one.commands
        }
        expectations.write_judged(mode, judged)
        print(f"{mode}: {len(judged)} tests talk to the server and pass on Redis")
    return 0


def run(modes: Iterable[str], accept: bool = False) -> int:
    """Run the modes; 0 if every test did what was expected of it. `accept` writes down the rest."""
    failed = 0
    for mode in modes:
        failed |= _run_mode(mode, accept)
    return failed


def _run_mode(mode: str, accept: bool) -> int:
    judged = expectations.read_judged(mode)
    if mode == "cluster":
        # A cluster client asks every node several times in each test: only what is in scope is run.
        judged = {test: sent for test, sent in judged.items() if not why_test_is_out(sent)}
    expected = expectations.read_expected(mode)
    began = time.monotonic()
    with servers.respdyn(1 if mode == "one" else 3) as nodes:
        url = _url(nodes[0], 1000 if mode == "cluster" else 0)
        count = len(nodes) if mode == "cluster" else 0
        records = run_suite(url, count, judged)
        for _ in range(_TRIES - 1):
            again = [test for test in judged if _passed(records, test) == (test in expected)]
            if again and not accept:
                records.update(run_suite(url, count, again))
        alive = sum(one.is_alive() for one in nodes)
    passed = {test for test in judged if _passed(records, test)}
    in_scope = {test for test, commands in judged.items() if not why_test_is_out(commands)}
    share = len(passed & in_scope) / max(1, len(in_scope))
    print(f"{mode}: {len(passed & in_scope)} of {len(in_scope)} tests in scope pass"
          f" ({share:.1%}); {len(passed)} of all {len(judged)}; {time.monotonic() - began:.0f} s")
    if accept:
        _accept(mode, judged, passed, expected, records)
        return 0
    wrong = [f"fails: {test}: {_why(records, test)}"
             for test in sorted(set(judged) - passed - set(expected))]
    wrong += [f"passes now, take it out of expected/{mode}.txt: {test}"
              for test in sorted(passed & set(expected))]
    wrong += [f"is in expected/{mode}.txt, but Redis is not known to pass it: {test}"
              for test in sorted(set(expected) - set(judged))]
    if alive < len(nodes):
        wrong.append(f"{len(nodes) - alive} nodes have died")
    if share < BAR:
        wrong.append(f"below {BAR:.0%} of the tests in scope")
    for line in wrong:
        print(f"  {line}")
    return int(bool(wrong))


def _accept(
    mode: str, judged: Commands, passed: set[str], expected: dict[str, str],
    records: dict[str, Record],
) -> None:
    """Take out what passes; add what fails, with a reason where one follows from its commands."""
    left = {test: reason for test, reason in expected.items()
            if test in judged and test not in passed}
    for test in set(judged) - passed - set(left):
        left[test] = why_test_is_out(judged[test]) or f"? {_short(_why(records, test))}"
    expectations.write_expected(mode, left)
    reasons = Counter(left.values())
    for reason, count in reasons.most_common():
        if reason.startswith("?"):
            print(f"  {count}: {reason}")


def _passed(records: dict[str, Record], test: str) -> bool:
    return test in records and records[test].has_passed


def _why(records: dict[str, Record], test: str) -> str:
    if test not in records:
        return "was not run"
    one = records[test]
    return f"{one.outcome} {_short(one.why)}"


def _short(text: str) -> str:
    return re.sub(r"\s+", " ", text)[:160]


def _url(server: servers.Server, further: int) -> str:
    return f"redis://{server.host}:{server.port + further}/0"
