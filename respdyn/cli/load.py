"""The load: one process that keeps a server busy from 50 connections and says how it went.

    python -m respdyn.cli.load --targets 127.0.0.1:6379 --op set --pipeline 16 --seconds 3

It has an interpreter and a core of its own, so that it takes nothing from what it measures, and it
does as little as Python allows: requests are built before the clock starts, whole batches at a
time, and all replies to a batch are known beforehand, so one comparison of bytes checks them. What
differs is looked at slowly: half a reply is waited for, anything unexpected ends the run and is
reported.

Closed loop: each connection sends its next batch when it has all replies to the last one. Paced
(`--rate`): batches are due at fixed times, whatever the server does, and a batch that waits for a
free connection is late already; so a stall counts for every request that it delayed.

Latency is that of a batch. It prints one JSON object; an error is one too, with exit status 1.

What it does not do: read a reply whose size it does not know, verify data, or wait longer than
`NO_REPLY_S` for anything.
"""

import argparse
import asyncio
import gc
import hashlib
import json
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Final, cast

import uvloop

from respdyn.cli.bench_histogram import FINE_US, Histogram
from respdyn.cli.load_elements import WORKS, filling, key_of

RING_COMMANDS: Final = 65_536       # prebuilt, so that most of the keys occur
RING_LEAST: Final = 1024
RING_MOST: Final = 16_384
FILL_BATCH: Final = 64
NO_REPLY_S: Final = 10.0
SHOWN_BYTES: Final = 200
RECEIVE_BYTES: Final = 262_144
clock_ns: Final = time.perf_counter_ns


class LoadError(Exception):
    """The run is void: an error reply, a reply that cannot be, a connection lost, silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be sent. `wait` = replicas that a batch waits for by WAIT; -1: no WAIT."""

    targets: tuple[tuple[str, int], ...]
    op: str = "set"
    pipeline: int = 1
    clients: int = 50
    keys: int = 100_000
    value_bytes: int = 3
    seconds: float = 3.0
    warm_s: float = 0.5
    wait: int = -1
    rate: float = 0.0               # requests per second; 0: closed loop
    is_fill: bool = False           # every key once, in order, instead of for a time
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. `cpu` is the share of one core that the generator itself used."""

    ops: int
    seconds: float
    rate: float
    cpu: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float


# ---- requests, and the replies that they must have ----

def command(*words: bytes) -> bytes:
    """A request as clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def key(number: int) -> bytes:
    """16 bytes."""
    return b"key:%012d" % number


# What programs send most: a limit per window, and a lock that its holder gives back.
# The reply is always 1.
SCRIPTS: Final = {
    "limiter": b"local n = redis.call('incr', KEYS[1]) if redis.call('pttl', KEYS[1]) < 0 then"
               b" redis.call('pexpire', KEYS[1], ARGV[2]) end"
               b" return n <= tonumber(ARGV[1]) and 1 or 0",
    "unlock": b"redis.call('set', KEYS[1], ARGV[1], 'NX') if redis.call('get', KEYS[1]) == ARGV[1]"
              b" then return redis.call('del', KEYS[1]) end return 0",
}
SCRIPTS["hot"] = SCRIPTS["limiter"]             # all of them on one key
OPS: Final = ("set", "get", *SCRIPTS, *WORKS)


def request(load: Load, number: int) -> bytes:
    """One request for the key of that number."""
    if load.op in SCRIPTS:
        sha = hashlib.sha1(SCRIPTS[load.op]).hexdigest().encode()
        name = b"%b:%012d" % (load.op.encode(), 0 if load.op == "hot" else number)
        return command(b"EVALSHA", sha, b"1", name, b"1000000000", b"60000")
    if load.op in WORKS:
        return command(*WORKS[load.op].words(key_of(load.op, load.keys), number))
    if load.op == "get":
        return command(b"GET", key(number))
    return command(b"SET", key(number), b"x" * load.value_bytes)


def batch(load: Load, numbers: Iterator[int], count: int) -> bytes:
    """`count` requests in a row, or as many as there are numbers; b"" if there are none."""
    requests = [request(load, number) for _, number in zip(range(count), numbers, strict=False)]
    if requests and load.wait >= 0 and load.op != "get":
        requests.append(command(b"WAIT", b"%d" % load.wait, b"0"))
    return b"".join(requests)


def ring(load: Load) -> list[bytes]:
    """Batches with random keys, to be sent over and over."""
    chance = random.Random(load.seed)
    numbers = iter(lambda: chance.randrange(load.keys), None)
    count = min(max(RING_COMMANDS // load.pipeline, RING_LEAST), RING_MOST)
    return [batch(load, numbers, load.pipeline) for _ in range(count)]


def replies(load: Load, count: int) -> tuple[bytes, ...]:
    """All that may answer a batch of `count`; with WAIT, each number of replicas that suffices."""
    if load.op == "get":
        return ((b"$%d\r\n%b\r\n" % (load.value_bytes, b"x" * load.value_bytes)) * count,)
    if load.op in WORKS:
        return (WORKS[load.op].reply(load.keys) * count,)
    done = (b":1\r\n" if load.op in SCRIPTS else b"+OK\r\n") * count
    if load.wait < 0:
        return (done,)
    return tuple(done + b":%d\r\n" % n for n in range(load.wait, 10))


def is_whole(received: bytes, accepted: tuple[bytes, ...]) -> bool:
    """Whether that answers the batch; False: more must come. Raises `LoadError` if it cannot."""
    if received in accepted:
        return True
    for expected in accepted:
        if expected.startswith(received):
            return False
    raise LoadError(_oddity(received, accepted[0]))


def _oddity(received: bytes, expected: bytes) -> str:
    """The reply that was not to be: from the start of the one in which the two part."""
    at = next((i for i, (a, b) in enumerate(zip(received, expected, strict=False)) if a != b),
              min(len(received), len(expected)))
    start = received.rfind(b"\r\n", 0, at) + 2 if b"\r\n" in received[:at] else 0
    # A bulk string is two lines; what parts in its second one is reported from its first.
    line = received[start:start + SHOWN_BYTES].split(b"\r\n")[0]
    kind = "an error reply" if line.startswith(b"-") else "an unexpected reply"
    return f"{kind}: {line.decode('utf-8', 'backslashreplace')}"


# ---- closed loop ----

class Closed:
    """A closed loop over all connections; `run` is its whole life."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.histogram = Histogram()
        self.error = ""
        self.connections: list[Connection] = []
        self.open = 0
        if load.is_fill:
            # The last batch begins again, so that all are equally long.
            numbers = (n % load.keys for n in range(-(-load.keys // FILL_BATCH) * FILL_BATCH))
            self.next_batch = iter(lambda: batch(load, numbers, FILL_BATCH), b"").__next__
            self.batch_ops = FILL_BATCH
        else:
            self.next_batch = cycle(ring(load)).__next__
            self.batch_ops = load.pipeline
        self.accepted = replies(load, self.batch_ops)
        self._over: asyncio.Future[None] | None = None
        self._begun_ns = self._cpu_ns = 0

    def run(self) -> Report:
        """Connect, warm up, count, stop. Raises `LoadError`."""
        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(self._run(loop))
        finally:
            loop.close()

    async def _run(self, loop: asyncio.AbstractEventLoop) -> Report:
        load = self.load
        over = self._over = loop.create_future()
        for index in range(load.clients):
            host, port = load.targets[index % len(load.targets)]
            try:
                _, connection = await loop.create_connection(lambda: Connection(self), host, port)
            except OSError as wrong:
                raise LoadError(f"{host}:{port}: {wrong}") from None
            self.connections.append(connection)
        self.open = len(self.connections)
        self._begin(clock_ns())
        if not load.is_fill:
            start_ns = clock_ns() + int(load.warm_s * 1e9)
            loop.call_later(load.warm_s, self._begin, start_ns)
            loop.call_later(load.warm_s + load.seconds, self.end)
        for connection in self.connections:
            connection.begin()
        while not over.done():
            await asyncio.wait([over], timeout=1.0)
            self._look_for_silence()
        took_ns = clock_ns() - self._begun_ns
        cpu_ns = time.process_time_ns() - self._cpu_ns
        for connection in self.connections:
            connection.is_over = True
            connection.transport.abort()
        await asyncio.sleep(0)
        if self.error:
            raise LoadError(self.error)
        ops = load.keys if load.is_fill else self.batch_ops * self.histogram.count()
        return _report(self.histogram, ops, took_ns, cpu_ns)

    def _begin(self, now_ns: int) -> None:
        """Count from here. The planned time is given: a stall across it belongs to the run."""
        self._begun_ns = now_ns
        self._cpu_ns = time.process_time_ns()
        self.histogram.clear()

    def _look_for_silence(self) -> None:
        oldest_ns = min((c.sent_ns for c in self.connections if not c.is_over), default=0)
        if oldest_ns and clock_ns() - oldest_ns > NO_REPLY_S * 1e9:
            raise LoadError(f"no reply within {NO_REPLY_S:.0f} s")

    def fail(self, why: str) -> None:
        """The run is void."""
        self.error = self.error or why
        self.end()

    def end(self) -> None:
        """Stop now."""
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def finished(self) -> None:
        """A connection has nothing left to send, which happens when filling."""
        self.open -= 1
        if not self.open:
            self.end()


class Connection(asyncio.Protocol):
    """One connection: a batch, its replies, the next batch."""

    __slots__ = (
        "_accepted", "_expected", "_fine", "_next_batch", "_received", "_run", "_write", "is_over",
        "sent_ns", "transport",
    )

    def __init__(self, run: Closed) -> None:
        self._run = run
        self._received = b""
        self._accepted = run.accepted
        self._expected = run.accepted[0]
        self._next_batch = run.next_batch
        self.is_over = False
        self.sent_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast(asyncio.Transport, transport)     # uvloop's is of no such class
        self._write = self.transport.write

    def begin(self) -> None:
        """Send the first batch."""
        self._fine = self._run.histogram.fine
        self.sent_ns = clock_ns()
        self._send()

    def data_received(self, data: bytes) -> None:
        """Replies. This is where a client's time goes, so the usual case comes first."""
        if data != self._expected and not self._is_whole(data):
            return
        now_ns = clock_ns()
        us = (now_ns - self.sent_ns) // 1000
        if us < FINE_US:
            self._fine[us] += 1
        else:
            self._run.histogram.add_slow(us)
        self.sent_ns = now_ns
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up."""
        if not self.is_over:
            self._run.fail("the server closed the connection")

    def _send(self) -> None:
        try:
            self._write(self._next_batch())
        except StopIteration:
            self.is_over = True
            self._run.finished()

    def _is_whole(self, data: bytes) -> bool:
        self._received += data
        try:
            if not is_whole(self._received, self._accepted):
                return False
        except LoadError as wrong:
            if not self.is_over:
                self.is_over = True
                self._run.fail(str(wrong))
            return False
        self._expected = self._received     # with WAIT, what came is what will come most
        self._received = b""
        return True


# ---- paced ----

class Paced:
    """Batches at fixed times over whichever connection is free; `run` is its whole life."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.histogram = Histogram()
        self._next_batch = cycle(ring(load)).__next__
        self._accepted = replies(load, load.pipeline)
        self._free: deque[socket.socket] = deque()
        self._due_ns: dict[socket.socket, int] = {}
        self._received: dict[socket.socket, bytes] = {}
        self._counts_from_ns = 0

    def run(self) -> Report:
        """Connect, warm up, count, stop. Raises `LoadError`."""
        load = self.load
        sockets = []
        try:
            for index in range(load.clients):
                sock = socket.create_connection(load.targets[index % len(load.targets)], NO_REPLY_S)
                sockets.append(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
            self._free.extend(sockets)
            return self._run()
        except OSError as wrong:
            raise LoadError(str(wrong)) from None
        finally:
            for sock in sockets:
                sock.close()

    def _run(self) -> Report:
        load = self.load
        period_ns = max(int(load.pipeline * 1e9 / load.rate), 1)
        begin_ns = clock_ns()
        self._counts_from_ns = begin_ns + int(load.warm_s * 1e9)
        end_ns = self._counts_from_ns + int(load.seconds * 1e9)
        due_ns = begin_ns
        cpu_ns = 0
        while (now_ns := clock_ns()) < end_ns:
            if not cpu_ns and now_ns >= self._counts_from_ns:
                cpu_ns = time.process_time_ns()
            while due_ns <= now_ns and self._free:
                self._send(due_ns)
                due_ns += period_ns
            # Not epoll: its time-outs are whole milliseconds, which is longer than a reply takes.
            wait_s = (due_ns - now_ns) / 1e9 if self._free else end_ns - now_ns
            self._receive(min(max(wait_s, 0.0), 1.0))
        cpu_ns = time.process_time_ns() - cpu_ns
        self._wait_for_rest(end_ns)
        ops = load.pipeline * self.histogram.count()
        for unsent_ns in range(max(due_ns, self._counts_from_ns), end_ns, period_ns):
            self.histogram.add((end_ns - unsent_ns) // 1000)    # as if answered at the end
        return _report(self.histogram, ops, int(load.seconds * 1e9), cpu_ns)

    def _wait_for_rest(self, end_ns: int) -> None:
        """Count what is still under way."""
        last_ns = end_ns + int(NO_REPLY_S * 1e9)
        while self._due_ns and clock_ns() < last_ns:
            self._receive(0.1)
        if self._due_ns:
            raise LoadError(f"no reply within {NO_REPLY_S:.0f} s")

    def _send(self, due_ns: int) -> None:
        sock = self._free.popleft()
        data = self._next_batch()
        if sock.send(data) != len(data):
            raise LoadError("a batch is larger than a socket's buffer")
        self._due_ns[sock] = due_ns

    def _receive(self, wait_s: float) -> None:
        """Take the replies that come within that time."""
        readable, _, _ = select.select(self._due_ns, (), (), wait_s)
        for sock in readable:
            data = sock.recv(RECEIVE_BYTES)
            if not data:
                raise LoadError("the server closed the connection")
            data = self._received.pop(sock, b"") + data
            if not is_whole(data, self._accepted):
                self._received[sock] = data
                continue
            due_ns = self._due_ns.pop(sock)
            self._free.append(sock)
            if due_ns >= self._counts_from_ns:
                self.histogram.add((clock_ns() - due_ns) // 1000)


def _report(histogram: Histogram, ops: int, took_ns: int, cpu_ns: int) -> Report:
    if not ops:
        raise LoadError("no reply came at all")
    seconds = took_ns / 1e9
    return Report(
        ops, round(seconds, 3), round(ops / seconds, 1), round(cpu_ns / took_ns, 3),
        histogram.percentile(50), histogram.percentile(99), histogram.percentile(99.9),
        histogram.most(),
    )


# ---- the program ----

def make_known(load: Load) -> None:
    """Load the script at every target. Raises `LoadError`."""
    for target in load.targets:
        try:
            with socket.create_connection(target, NO_REPLY_S) as sock:
                sock.sendall(command(b"SCRIPT", b"LOAD", SCRIPTS[load.op]))
                said = sock.recv(RECEIVE_BYTES)
        except OSError as wrong:
            raise LoadError(f"the script could not be loaded: {wrong}") from None
        if not said.startswith(b"$40"):
            raise LoadError(f"the script could not be loaded: {said[:SHOWN_BYTES]!r}")


def make_full(load: Load) -> None:
    """Give the key of a load on elements what it must have. Raises `LoadError`."""
    name, work = key_of(load.op, load.keys), WORKS[load.op]
    full = b":%d\r\n" % load.keys
    with socket.create_connection(load.targets[0], NO_REPLY_S) as sock:
        sock.settimeout(NO_REPLY_S)
        for words in ((work.counting, name), *filling(load.op, load.keys), (work.counting, name)):
            sock.sendall(command(*words))
            said = b""
            while not said.endswith(b"\r\n"):
                said += (more := sock.recv(RECEIVE_BYTES))
                if not more:
                    raise LoadError("the server closed the connection")
            if said == full:
                return
            if said[:1] != b":":
                raise LoadError(f"a key could not be filled: {said[:SHOWN_BYTES]!r}")
    raise LoadError(f"a key has other elements than it was given: {said!r}")


def run_load(load: Load) -> Report:
    """Do it, in this process. Raises `LoadError`."""
    if load.op in SCRIPTS:
        make_known(load)
    if load.op in WORKS:
        make_full(load)
        if load.is_fill:
            return Report(load.keys, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Paced(load).run() if load.rate else Closed(load).run()


def arguments(load: Load) -> list[str]:
    """The command line that `parse` reads as this load."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(load).items()
             if name not in ("targets", "is_fill")]
    words.append("--targets=" + ",".join(f"{host}:{port}" for host, port in load.targets))
    return [*words, "--fill"] if load.is_fill else words


def parse(argv: list[str]) -> Load:
    """The load that a command line describes."""
    parser = argparse.ArgumentParser(
        prog="python -m respdyn.cli.load", description="keep a server busy; print one JSON object")
    parser.add_argument("--targets", required=True, metavar="HOST:PORT,...")
    parser.add_argument("--op", choices=OPS, default="set")
    for name, kind in (("pipeline", int), ("clients", int), ("keys", int), ("value_bytes", int),
                       ("seconds", float), ("warm_s", float), ("wait", int), ("rate", float),
                       ("seed", int)):
        parser.add_argument("--" + name.replace("_", "-"), type=kind, default=argparse.SUPPRESS)
    parser.add_argument("--fill", dest="is_fill", action="store_true")
    given = vars(parser.parse_args(argv))
    ends = [target.rpartition(":") for target in given.pop("targets").split(",")]
    return Load(targets=tuple((host, int(port)) for host, _, port in ends), **given)


def main(argv: list[str] | None = None) -> int:
    """Run it; the exit status."""
    load = parse(sys.argv[1:] if argv is None else argv)
    gc.disable()
    try:
        report = run_load(load)
    except LoadError as wrong:
        print(json.dumps({"error": str(wrong)}))
        return 1
    finally:
        gc.enable()         # a test runs this in its own process
    print(json.dumps(asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
