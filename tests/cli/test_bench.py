"""The benchmark's promises: arithmetic, a generator that counts right, errors that are shown.

The generator is run against a tiny server in a thread, which answers as each test wants.
"""

import argparse
import hashlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import hiredis
import pytest

from respdyn.cli import bench, bench_servers
from respdyn.cli.bench_histogram import FINE_US, Histogram
from respdyn.cli.bench_rows import ROWS, Row, Sample, Shot, in_order, shots
from respdyn.cli.bench_servers import REDIS, RESPDYN, BenchError, Server, Setup, start
from respdyn.cli.bench_table import Outcome, as_data, shown, table
from respdyn.cli.load import (
    Closed,
    Load,
    LoadError,
    Paced,
    arguments,
    is_whole,
    main,
    parse,
    replies,
    run_load,
)

Answer = Callable[[list[bytes]], bytes]


class TinyServer(threading.Thread):
    """Answers each command by a function, in pieces of so many bytes; b"" hangs up."""

    def __init__(self, answer: Answer, piece: int = 1 << 20) -> None:
        super().__init__(daemon=True)
        self.commands: list[list[bytes]] = []
        self._answer = answer
        self._piece = piece
        self._ends = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = self._listener.getsockname()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def stop(self) -> None:
        self._ends = True
        self.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def run(self) -> None:
        while not self._ends:
            for key, _ in self._selector.select(0.01):
                if key.fileobj is self._listener:
                    sock, _ = self._listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(sock, selectors.EVENT_READ, hiredis.Reader())
                else:
                    self._serve(key)

    def _serve(self, key: selectors.SelectorKey) -> None:
        sock, reader = key.fileobj, key.data
        assert isinstance(sock, socket.socket)
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        reader.feed(data)
        out = b""
        while data and (argv := reader.gets()) is not False:
            self.commands.append(argv)
            reply = self._answer(argv)
            out += reply
            if not reply:
                data = b""
        try:
            for at in range(0, len(out), self._piece):
                sock.sendall(out[at:at + self._piece])
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(sock)
            sock.close()


@contextmanager
def serving(answer: Answer, piece: int = 1 << 20) -> Iterator[TinyServer]:
    server = TinyServer(answer, piece)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def friendly(argv: list[bytes]) -> bytes:
    return {b"GET": b"$3\r\nxxx\r\n", b"WAIT": b":2\r\n"}.get(argv[0], b"+OK\r\n")


def scripted(argv: list[bytes]) -> bytes:
    return b"$40\r\n%b\r\n" % (b"0" * 40) if argv[0] == b"SCRIPT" else b":1\r\n"


def short(server: TinyServer, **changes: object) -> Load:
    given = {"targets": (server.target,), "seconds": 0.2, "warm_s": 0.0, "clients": 3, "keys": 50}
    return Load(**{**given, **changes})  # type: ignore[arg-type]


# ---- the generator ----

def test_generator_sends_what_it_is_asked_for_and_counts_it() -> None:
    with serving(friendly) as server:
        report = run_load(short(server, pipeline=4, value_bytes=7))
    assert report.ops > 0
    assert report.ops % 4 == 0
    assert report.ops <= len(server.commands) <= report.ops + 2 * 3 * 4
    assert report.rate == pytest.approx(report.ops / report.seconds, rel=0.01)
    verbs, keys, values = (set(column) for column in zip(*server.commands, strict=True))
    assert verbs == {b"SET"}
    assert values == {b"x" * 7}
    assert keys <= {b"key:%012d" % number for number in range(50)}


@pytest.mark.parametrize(("op", "names"), [("limiter", 50), ("unlock", 50), ("hot", 1)])
def test_generator_loads_its_script_and_calls_it(op: str, names: int) -> None:
    with serving(scripted) as server:
        report = run_load(short(server, op=op, pipeline=2))
    assert report.ops > 0 and report.ops % 2 == 0
    load, *calls = server.commands
    assert load[:2] == [b"SCRIPT", b"LOAD"]
    sha = hashlib.sha1(load[2]).hexdigest().encode()
    assert {tuple(call[:3]) for call in calls} == {(b"EVALSHA", sha, b"1")}
    assert len({call[3] for call in calls}) <= names


def test_a_script_that_cannot_be_loaded_ends_the_run() -> None:
    with serving(friendly) as server, pytest.raises(LoadError, match="could not be loaded"):
        run_load(short(server, op="limiter"))


def test_generator_counts_replies_that_come_in_pieces() -> None:
    with serving(friendly, piece=2) as server:
        report = run_load(short(server, op="get", pipeline=3))
    assert 0 < report.ops <= len(server.commands)
    assert report.ops % 3 == 0


def test_generator_spreads_connections_over_all_targets() -> None:
    with serving(friendly) as one, serving(friendly) as two:
        run_load(short(one, targets=(one.target, two.target), clients=4))
    assert one.commands
    assert two.commands


@pytest.mark.parametrize("rate", [0.0, 500.0])
def test_error_reply_ends_the_run_with_its_text(rate: float) -> None:
    def tired(argv: list[bytes]) -> bytes:
        return b"-OVERLOAD too much\r\n" if len(server.commands) > 20 else b"+OK\r\n"

    with (
        serving(tired) as server,
        pytest.raises(LoadError, match="an error reply: -OVERLOAD too much"),
    ):
        run_load(short(server, pipeline=3, rate=rate, seconds=5.0))


@pytest.mark.parametrize("rate", [0.0, 500.0])
def test_connection_that_is_lost_ends_the_run(rate: float) -> None:
    def rude(argv: list[bytes]) -> bytes:
        return b"" if len(server.commands) > 20 else b"+OK\r\n"

    with serving(rude) as server, pytest.raises(LoadError, match=r"closed the connection|reset"):
        run_load(short(server, rate=rate, seconds=5.0))


def test_missing_key_is_not_taken_for_a_reply() -> None:
    with (
        serving(lambda argv: b"$-1\r\n") as server,
        pytest.raises(LoadError, match=r"an unexpected reply: \$-1"),
    ):
        run_load(short(server, op="get", seconds=5.0))


def test_wait_that_reached_too_few_replicas_ends_the_run() -> None:
    def alone(argv: list[bytes]) -> bytes:
        return b":0\r\n" if argv[0] == b"WAIT" else b"+OK\r\n"

    with (
        serving(alone) as server,
        pytest.raises(LoadError, match="an unexpected reply: :0"),
    ):
        run_load(short(server, wait=1, pipeline=2, seconds=5.0))


def test_wait_follows_each_batch_and_more_replicas_than_needed_will_do() -> None:
    with serving(friendly) as server:
        report = run_load(short(server, wait=1, pipeline=2, clients=1))
    verbs = [argv[0] for argv in server.commands]
    assert verbs[:6] == [b"SET", b"SET", b"WAIT"] * 2
    assert 0 < report.ops <= verbs.count(b"SET")


def test_a_server_that_does_not_listen_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = listener.getsockname()
    for rate in (0.0, 100.0):
        with pytest.raises(LoadError):
            run_load(Load(targets=(target,), seconds=0.1, rate=rate))


@pytest.mark.parametrize("keys", [1, 64, 65, 200])
def test_fill_writes_every_key(keys: int) -> None:
    with serving(friendly) as server:
        report = run_load(short(server, keys=keys, is_fill=True))
    assert report.ops == keys
    assert {argv[1] for argv in server.commands} == {b"key:%012d" % n for n in range(keys)}


def test_half_a_batch_is_waited_for_and_a_wrong_half_is_not() -> None:
    accepted = replies(Load(targets=()), 2)
    assert is_whole(b"+OK\r\n+OK\r\n", accepted)
    assert not is_whole(b"+OK\r\n+", accepted)
    with pytest.raises(LoadError, match="-ERR no"):
        is_whole(b"+OK\r\n-ERR no\r\n", accepted)
    with pytest.raises(LoadError):
        is_whole(b"+OK\r\n+OK\r\n+OK\r\n", accepted)
    with pytest.raises(LoadError, match="a tail"):
        is_whole(b"+OK\r\n+OK\r\na tail\r\n", accepted)


def test_paced_load_accounts_for_every_request_that_was_due() -> None:
    with serving(friendly) as server:
        paced = Paced(short(server, rate=400.0, seconds=0.5))
        report = paced.run()
    assert paced.histogram.count() == pytest.approx(200, abs=2)
    assert report.ops <= paced.histogram.count()


def test_paced_load_holds_a_stall_against_every_request_that_it_delayed() -> None:
    def slow_once(argv: list[bytes]) -> bytes:
        if len(server.commands) == 1:
            time.sleep(0.4)
        return b"+OK\r\n"

    with serving(slow_once) as server:
        report = run_load(short(server, rate=200.0, seconds=0.2, clients=1))
    # A closed loop would have seen one slow request. Here all of the 40 came later than they were
    # due, or not at all; the last of them was due at 0.2 s.
    assert report.max_us >= 390_000
    assert report.p50_us >= 90_000


def test_stall_across_the_end_of_the_warm_up_belongs_to_the_run() -> None:
    with serving(friendly) as server:
        closed = Closed(short(server, warm_s=0.1, seconds=0.1))
        report = closed.run()
    assert report.ops == closed.histogram.count()
    assert len(server.commands) > report.ops


def test_command_line_of_a_load_says_all_of_it() -> None:
    load = Load(targets=(("127.0.0.1", 7000), ("127.0.0.2", 7001)), op="get", pipeline=16,
                clients=7, keys=11, value_bytes=5, seconds=1.5, warm_s=0.25, wait=1, rate=99.5,
                is_fill=True, seed=4)
    assert parse(arguments(load)) == load


def test_program_prints_one_object_and_says_by_its_status_whether_it_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(friendly) as server:
        assert main(arguments(short(server))) == 0
    assert json.loads(capsys.readouterr().out)["ops"] > 0
    with serving(lambda argv: b"-NOAUTH who are you\r\n") as server:
        assert main(arguments(short(server))) == 1
    assert "NOAUTH who are you" in json.loads(capsys.readouterr().out)["error"]


def test_percentiles_are_those_of_the_sorted_values() -> None:
    values = [3, 1, 1, 7, 500, 40, 41, 42, FINE_US - 1, 2]
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for percent in (0, 10, 50, 90, 99.9, 100):
        expected = sorted(values)[min(int(percent / 100 * len(values)), len(values) - 1)]
        assert histogram.percentile(percent) == expected
    histogram.add(FINE_US + 5_000)
    assert histogram.percentile(100) == histogram.most() == FINE_US + 5_000
    held = histogram.fine
    histogram.clear()
    assert (histogram.count(), histogram.percentile(50), histogram.most()) == (0, 0, 0)
    assert histogram.fine is held


# ---- the arithmetic ----

UP = next(row for row in ROWS if row.name == "memory-set-1")            # 0.6x, 1.0x
DOWN = next(row for row in ROWS if row.name == "memory-per-key")        # 4x, 2x


def outcome(row: Row, *rounds: tuple[float, float]) -> Outcome:
    return Outcome(row, [Sample(ours) for ours, _ in rounds], [Sample(peer) for _, peer in rounds])


def test_ratio_is_taken_within_rounds() -> None:
    # The machine got ten times slower for the third round: the ratio did not.
    rounds = ((100.0, 200.0), (90.0, 200.0), (10.0, 20.0))
    assert outcome(UP, *rounds).ratios() == [0.5, 0.45, 0.5]
    assert outcome(UP, *rounds).ratio() == 0.5
    assert median(a for a, _ in rounds) / median(b for _, b in rounds) == 0.45


@pytest.mark.parametrize(("row", "ratio", "verdict"), [
    (UP, 1.0, "goal"), (UP, 0.99, "first round"), (UP, 0.6, "first round"), (UP, 0.59, "no"),
    (DOWN, 2.0, "goal"), (DOWN, 2.01, "first round"), (DOWN, 4.0, "first round"), (DOWN, 4.1, "no"),
])
def test_bar_is_a_least_for_rates_and_a_most_for_sizes(
    row: Row, ratio: float, verdict: str,
) -> None:
    assert outcome(row, (ratio, 1.0)).reached() == verdict


def test_every_goal_is_at_least_as_hard_as_the_first_bar() -> None:
    for row in ROWS:
        assert row.goal >= row.first if row.is_more_better else row.goal <= row.first, row.name
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_nothing_is_claimed_where_nothing_was_compared() -> None:
    alone = Outcome(UP, [Sample(50_000.0)])
    assert alone.ratio() == 0
    assert alone.reached() == "-"
    assert "50.0k/s" in table([alone])
    assert "goal" not in table([alone]).splitlines()[1]


def test_client_bound_rounds_are_remarked_with_their_side() -> None:
    bound, free = Sample(1.0, "client-bound"), Sample(1.0)
    assert Outcome(UP, [free] * 3, [bound, bound, free]).remarks() == "client-bound (redis-server)"
    assert Outcome(UP, [free] * 3, [bound, free, free]).remarks() == ""


def test_table_has_one_line_for_each_row_with_its_figures() -> None:
    lines = table([outcome(UP, (61_234.0, 102_000.0)), outcome(DOWN, (400.0, 200.0))]).splitlines()
    assert len(lines) == 3
    assert lines[1].split("  ")[0] == UP.title
    for figure in ("61.2k/s", "102.0k/s", "0.60x", "0.6x", "1x", "first round"):
        assert figure in lines[1]
    for figure in ("400 B", "200 B", "2.00x", "4x", "2x", "goal"):
        assert figure in lines[2]


@pytest.mark.parametrize(("value", "unit", "text"), [
    (605_432.0, "ops/s", "605.4k/s"), (5_912.0, "us", "5.91 ms"), (312.4, "B", "312 B"),
    (2.5, "s", "2.50 s"), (0.0, "s", "-"),
])
def test_figures_are_shown_with_their_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_json_holds_every_round() -> None:
    data = json.loads(json.dumps(as_data([outcome(UP, (1.0, 2.0), (3.0, 4.0))], {"rounds": 2})))
    row = data["rows"][0]
    assert data["rounds"] == 2
    assert [sample["value"] for sample in row["respdyn_rounds"]] == [1.0, 3.0]
    assert row["ratios"] == [0.5, 0.75]
    assert row["ratio"] == 0.625


# ---- rounds ----

def test_round_fires_every_shot_once_and_what_a_rate_depends_on_before_it() -> None:
    wanted = shots(ROWS, has_peer=True)
    assert len(wanted) == len(set(wanted))
    for number in range(2):
        order = in_order(wanted, number)
        assert sorted(map(repr, order)) == sorted(map(repr, wanted))
        for shot in order:
            if shot.half_of is not None:
                assert order.index(shot.half_of) < order.index(shot)


def test_sides_of_a_row_are_fired_one_after_the_other() -> None:
    ours, peer = Shot(Setup(RESPDYN), "set"), Shot(Setup(REDIS), "set")
    assert shots([UP], has_peer=True) == [ours, peer]
    assert in_order([ours, peer], 1) == [peer, ours]


def test_without_a_peer_only_respdyn_is_measured() -> None:
    assert all(shot.setup.kind == RESPDYN for shot in shots(ROWS, has_peer=False))


def test_rows_are_chosen_by_name_and_pattern() -> None:
    assert [row.name for row in bench.select("start,memory-get-*")] == [
        "memory-get-1", "memory-get-16", "start"]
    assert bench.select(None) == list(ROWS)
    with pytest.raises(ValueError, match="--rows speed"):
        bench.select("speed")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return parser.parse_args(words)


def test_flags_outrank_quick() -> None:
    assert bench.pace_of(parsed()).rounds >= 5
    assert bench.pace_of(parsed("--quick")).rounds < 5
    assert bench.pace_of(parsed("--quick", "--rounds", "9")).rounds == 9


@pytest.mark.parametrize("words", [
    ("--rounds", "0"), ("--seconds", "0"), ("--keys", "0"), ("--rows", "nothing")])
def test_nonsense_is_refused_before_anything_starts(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.run(parsed(*words)) == 2
    assert words[0] in capsys.readouterr().err


# ---- servers ----

def test_stage_that_fails_is_reported_in_its_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(setup: Setup, directory: Path) -> bench_servers.Running:
        raise BenchError("no ports left")

    monkeypatch.setattr(bench, "start", refuse)
    assert bench.run(parsed("--rows", "memory-set-*", "--quick")) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("failed: no ports left" in line for line in lines) == 2


def test_server_that_dies_at_start_is_quoted(tmp_path: Path) -> None:
    server = Server([sys.executable, "-c", "raise SystemExit('bad luck')"], "127.0.0.1", 1,
                    tmp_path / "node-1.log")
    with pytest.raises(BenchError, match=r"node-1 ended before it served: bad luck"):
        server.until("served", lambda: False)


def test_setting_in_the_environment_does_not_reach_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESPDYN_DURABILITY", "no")
    words = [sys.executable, "-c", "import os; print('seen', 'RESPDYN_DURABILITY' in os.environ)"]
    server = Server(words, "127.0.0.1", 1, tmp_path / "node-1.log")
    server._process.wait()
    assert server.last_words() == "seen False"


@pytest.mark.needs("redis-server")
def test_leaving_ends_the_processes_and_removes_their_data(tmp_path: Path) -> None:
    with start(Setup(REDIS, 3), tmp_path) as running:
        pids = [server.pids()[0] for server in running.servers]
        assert len(pids) == 3
        assert running.servers[0].ask("WAIT", "2", "5000") == 2
        assert running.servers[0].memory_bytes() > 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_respdyn_stands_alone_where_redis_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "")
    assert bench.run(parsed("--rows", "memory-set-16", "--rounds", "1", "--seconds", "0.1")) == 0
    out = capsys.readouterr().out
    assert "k/s" in out
    assert "redis-server is not on PATH" in out


@pytest.mark.slow
def test_sigterm_stops_what_was_started(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "respdyn.cli.main", "bench", "--rows", "memory-set-16",
             "--seconds", "60"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        assert b"round 1" in process.stderr.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        pids = [int(word) for word in children.read_text().split()] if children.exists() else []
        process.send_signal(signal.SIGTERM)
        assert process.wait() != 0
    assert not list(tmp_path.iterdir())
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
