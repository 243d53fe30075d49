"""The node's side of its storage process: RocksDB behind a socket, never waited for.

    store = RocksStore("/var/lib/respdyn")
    store.open()                                  waits, once, before the event loop
    for pairs in store.load(): ...                waits as well
    store.submit(1, pairs, sync=True)             from here on nothing waits
    readable: store.on_readable()                 a loop watches fileno()
    wants_write(): store.on_writable()
    every maintain() seconds: store.maintain()
    store.durable(), store.failure()              what there is to know

It knows no event loop; `pump` serves it with `poll` for callers without one.

Every batch is kept until its generation is reported durable. If the storage process dies, another
is started (at once, then ever more seldom) and gets all of them again; a batch applied twice is
the batch, since what is stored are joins. While there is trouble (disk full, no process, no
progress) `failure` says what: the node refuses writes meanwhile, and what it does not submit need
not be kept. That much waits is no trouble: the node lets its clients wait long before (`holding`);
at `MAX_PENDING_BYTES`, which can only be a mistake of its own, `submit` raises rather than eat the
machine.

A disk that is slow has not failed, as long as the process gets on (`progress`).

Source: measured with rocksdict 0.3.29, a writer thread in the same process stalls a busy main
thread for 80 % of its writing time; hence the process.
"""

import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from respdyn.errors import DamagedError
from respdyn.ports import Trace
from respdyn.storage.progress import STALL_S, Progress, work_of
from respdyn.storage.store import (
    BATCH,
    COPIED,
    COPY,
    DAMAGED,
    DAMAGED_RANGE,
    DURABLE,
    FAILED,
    HEALED,
    LOAD,
    LOADED,
    OPENED,
    PAIRS,
    RECOVERED,
    REFUSED,
    RESTORED,
    SCRUBBED,
    SYNC,
    Frame,
    FrameReader,
    Store,
    StoreError,
    encode_frame,
    frame_parts,
)

MAX_PENDING_BYTES = 1 << 30
WRITE_BUFFER_BYTES = 32 << 20
SOCKET_BYTES = 1 << 20
SEND_BYTES = 2 << 20
RECEIVE_BYTES = 1 << 20
RESTART_FIRST_S = 0.05
RESTART_MAX_S = 5.0
TICK_S = 1.0
EXIT_WAIT_S = 5.0
POLICIES = ("always", "everysec", "no")


class RocksStore(Store):
    """`Store` in a RocksDB directory, owned by a process of its own.

    `policy` is what durability means when a batch does not demand `sync`: with `everysec` the
    storage process also calls fsync once a second; with `always` (the node then demands it) and
    `no` it does not.
    """

    def __init__(
        self,
        directory: str,
        policy: str = "everysec",
        trace: Trace | None = None,
        write_buffer_bytes: int = WRITE_BUFFER_BYTES,
        stall_s: float = STALL_S,
    ) -> None:
        assert policy in POLICIES
        self.directory = os.path.abspath(directory)
        self.damaged = 0
        """Damages found: records left out at loading, or logs and files that lost some."""
        self.is_restored = False
        """This was a backup: a new life begins, though nothing is missing."""
        self.estimated_pairs = 0
        """About how many pairs `load` will give; known once open."""
        self.loaded_pairs = 0
        """How many it has given so far."""
        self.pending_bytes = 0
        """What was submitted and is not durable."""
        self.restarts = 0
        """How often the storage process had to be replaced."""
        self.scrubs = 0
        """How often all that is on the disk was looked at again."""
        self.damaged_ranges: list[tuple[bytes, bytes]] = []
        """Ranges of names that cannot be read any more: to be written again, then `healed`."""
        self._policy = policy
        self._trace = trace
        self._write_buffer_bytes = write_buffer_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._is_dead = False
        """The process at the other end of `_link` is gone; `maintain` replaces both."""
        self._is_open = False
        self._is_loading = False
        self._reader = FrameReader()
        self._scratch = memoryview(bytearray(RECEIVE_BYTES))
        self._submitted = 0
        self._durable = 0
        self._unanswered: deque[tuple[int, list[bytes]]] = deque()
        """Generation of everything that is not durable, and its frame in pieces."""
        self._outgoing: deque[bytes | memoryview] = deque()
        self._chunks: deque[list[bytes]] = deque()
        self._process_failure = ""
        self._disk_failure = ""
        self._copied: Callable[[str], None] | None = None
        """Called when the copy that is being made is finished."""
        self._was_full = False
        """The socket took no more when it was last tried."""
        self._progress = Progress(stall_s)
        self._is_stalled = False
        self._is_reported = False
        self._is_closing = False
        """The process is to end: that it does is no failure."""
        self._restart_at = 0.0
        self._restart_wait_s = RESTART_FIRST_S

    # The port

    def load(self) -> Iterator[list[bytes]]:
        """Everything stored, as flat lists of pairs in key order. Waits for the process.

        Raises `StoreError` if the process dies meanwhile.
        """
        self.loaded_pairs = 0
        self._is_loading = True
        self._send(encode_frame(LOAD, 0, 0))
        while self._is_loading or self._chunks:
            while self._chunks:
                pairs = self._chunks.popleft()
                self.loaded_pairs += len(pairs) // 2
                yield pairs
            if self._is_loading:
                self._serve(TICK_S)
                if self._is_dead:
                    raise StoreError(f"{self._process_failure}, while it was read")

    def submit(self, generation: int, batch: list[bytes], sync: bool) -> None:
        """Hand over a batch. It enters the socket at once if there is room.

        Raises `StoreError` when more is pending than ever may be.
        """
        assert generation > self._submitted and len(batch) % 2 == 0
        if self.pending_bytes > MAX_PENDING_BYTES:
            raise self._error(f"{self.pending_bytes} bytes wait to be written, too many")
        self._submitted = generation
        parts = frame_parts(BATCH, SYNC if sync else 0, generation, batch)
        if not self._unanswered:
            self._progress.spoke(time.monotonic())
        self._unanswered.append((generation, parts))
        self.pending_bytes += sum(map(len, parts))
        self._send(*parts)

    def copy(self, target: Path, done: Callable[[str], None]) -> None:
        """Have everything that was submitted copied to `target`, which must not exist.

        `done` gets "", or why it failed, when the socket is served. Raises `StoreError` when there
        is no process to do it, or it is being done.
        """
        if self.failure() or self._is_dead or self._link is None:
            raise self._error(self.failure() or "there is no storage process")
        if self._copied is not None:
            raise self._error("a copy is being made")
        self._copied = done
        self._send(encode_frame(COPY, 0, 0, [os.fsencode(target)]))

    def _end_copy(self, reason: str) -> None:
        done, self._copied = self._copied, None
        if done is not None:
            done(reason)

    def durable(self) -> int:
        """The newest generation reported durable so far."""
        return self._durable

    def failure(self) -> str:
        """Why what is submitted does not become durable for now; "" if it does."""
        if self._process_failure or self._disk_failure:
            return self._process_failure or self._disk_failure
        if self._is_stalled:
            stall_s = self._progress.stall_s
            return f"data directory {self.directory}: no progress for {stall_s:g} seconds"
        return ""

    def healed(self) -> None:
        """All ranges that were `damaged_ranges` have been submitted once more."""
        self._send(encode_frame(HEALED, 0, 0))

    # Life

    def open(self) -> None:
        """Start the storage process and wait until it has opened the directory.

        Raises `StoreError` naming the directory: absent, not writable, in use, unreadable.
        """
        self._is_closing = False
        self._start()
        while not self._is_open and not self._is_dead:
            self._serve(TICK_S)
        if self._is_dead:
            self._discard(EXIT_WAIT_S)
            raise StoreError(self._process_failure)

    def close(self, timeout_s: float = 30.0) -> bool:
        """Wait until all is written and the process has ended. Returns whether all was written.

        What could not be written in time the process goes on trying to write, for a while.
        """
        deadline = time.monotonic() + timeout_s
        while self._unanswered and time.monotonic() < deadline:
            self.pump(TICK_S)
        if self._link is not None and not self._is_dead:
            self._is_closing = not self._unanswered
            self._link.shutdown(socket.SHUT_WR)
            self._outgoing.clear()
            while not self._is_dead and time.monotonic() < deadline:
                self._serve(TICK_S)
        self._discard(max(deadline - time.monotonic(), 0.0))
        return not self._unanswered

    def pump(self, timeout_s: float) -> None:
        """Serve the socket for one round of events, at most that long, without an event loop."""
        self._serve(min(timeout_s, self.maintain()))

    def _serve(self, timeout_s: float) -> None:
        descriptor = self.fileno()
        if descriptor < 0:
            time.sleep(timeout_s)
            return
        poller = select.poll()
        poller.register(descriptor, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        for _, events in poller.poll(timeout_s * 1000.0):
            if events & select.POLLOUT:
                self.on_writable()
            if events & ~select.POLLOUT:
                self.on_readable()

    # For an event loop

    def fileno(self) -> int:
        """The descriptor to watch; -1 while there is none. `maintain` alone closes and opens it."""
        return -1 if self._link is None or self._is_dead else self._link.fileno()

    def process_id(self) -> int:
        """The storage process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    def wants_write(self) -> bool:
        """Whether `on_writable` has something to send."""
        return bool(self._outgoing) and not self._is_dead

    def on_readable(self) -> None:
        """Take in what the process says. Afterwards `durable` and `failure` may have changed."""
        assert self._link is not None
        try:
            count = self._link.recv_into(self._scratch)
            self._progress.spoke(time.monotonic())
            for frame in self._reader.feed(self._scratch[:count]):
                self._take(frame)
        except BlockingIOError:
            return
        except (ConnectionError, DamagedError):
            count = 0
        if count == 0:
            self._die()

    def on_writable(self) -> None:
        """Send as much as the socket takes, up to `SEND_BYTES`: others are to be served as well."""
        outgoing = self._outgoing
        if self._link is None or self._is_dead:
            return
        try:
            total = 0
            while outgoing and total < SEND_BYTES:
                data = outgoing[0]
                sent = self._link.send(data)
                total += sent
                if self._was_full:      # so the process has taken something
                    self._was_full = False
                    self._progress.moved(time.monotonic())
                if sent == len(data):
                    outgoing.popleft()
                else:
                    outgoing[0] = memoryview(data)[sent:]
        except BlockingIOError:
            self._was_full = True
        except ConnectionError:
            return  # Reading shows it, after what the process still had to say.

    def maintain(self) -> float:
        """Replace a dead process when it is time, and notice one that hangs.

        Returns after how many seconds to call this again.
        """
        now = time.monotonic()
        if not self._is_dead:
            if self._unanswered and not self._is_stalled:
                self._progress.worked(work_of(self.process_id()), now)
                self._is_stalled = self._progress.is_stuck(now)
                self._report()
            return TICK_S
        is_ending = self._process is not None and self._process.poll() is None
        if is_ending or now < self._restart_at:
            return max(self._restart_at - now, RESTART_FIRST_S)
        self._discard(0.0)
        self.restarts += 1
        self._start()
        return TICK_S

    # The process

    def _start(self) -> None:
        self._reader = FrameReader()
        self._is_dead = self._was_full = False
        self._disk_failure = ""
        self._outgoing = deque(part for _, parts in self._unanswered for part in parts)
        try:
            self._link, theirs = socket.socketpair()
            with theirs:
                for end in (self._link, theirs):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
                self._link.setblocking(False)
                self._process = self._spawn(theirs.fileno())
        except OSError as error:
            self._process_failure = f"cannot start a storage process: {error.strerror}"
            self._die()

    def _spawn(self, link: int) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-P", "-m", "respdyn.storage.process", self.directory]
        argv += ["--link", str(link), "--owner", str(os.getpid())]
        argv += ["--write-buffer-bytes", str(self._write_buffer_bytes)]
        if self._policy == "everysec":
            argv.append("--everysec")
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        return subprocess.Popen(
            argv,
            pass_fds=[link],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
        )

    def _discard(self, wait_s: float) -> None:
        """Let go of the socket and, when it has ended, of the process."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self._is_open = False
        self._is_dead = False
        if self._process is not None:
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                return
            self._process = None

    def _die(self) -> None:
        self._is_dead = True
        self._is_open = False
        self._is_loading = False
        self._end_copy("the storage process died")
        if self._is_closing:
            return
        if not self._process_failure:
            self._process_failure = f"data directory {self.directory}: its storage process died"
        self._restart_at = time.monotonic() + self._restart_wait_s
        self._restart_wait_s = min(2 * self._restart_wait_s, RESTART_MAX_S)
        self._report()

    def _send(self, *parts: bytes) -> None:
        is_first = not self._outgoing
        self._outgoing += parts
        if is_first:
            self.on_writable()

    def _take(self, frame: Frame) -> None:
        """One thing that the process says."""
        if frame.kind == DURABLE:
            self._acknowledge(frame.generation)
        elif frame.kind == PAIRS:
            self._chunks.append(frame.items)
        elif frame.kind == LOADED:
            self._is_loading = False
        elif frame.kind == COPIED:
            self._end_copy(frame.items[0].decode() if frame.items else "")
        elif frame.kind == OPENED:
            self._is_open = True
            self._process_failure = ""
            self.estimated_pairs = frame.generation
            self._report()
        elif frame.kind == REFUSED:
            self._process_failure = frame.items[0].decode()
        elif frame.kind == FAILED:
            self._disk_failure = frame.items[0].decode()
            self._report()
        elif frame.kind == DAMAGED_RANGE:
            self.damaged_ranges.append((frame.items[0], frame.items[1]))
        elif frame.kind == SCRUBBED:
            self.scrubs += 1
        elif frame.kind == RECOVERED:
            self._disk_failure = ""
            self._report()
        elif frame.kind == DAMAGED:
            self._note_damages(frame.generation, [item.decode() for item in frame.items])

    def _acknowledge(self, generation: int) -> None:
        unanswered = self._unanswered
        while unanswered and unanswered[0][0] <= generation:
            self.pending_bytes -= sum(map(len, unanswered.popleft()[1]))
        self._durable = max(self._durable, generation)
        self._restart_wait_s = RESTART_FIRST_S
        if self._is_stalled:
            self._is_stalled = False
            self._report()

    def _note_damages(self, count: int, notes: list[str]) -> None:
        """What was left out. That this is a backup is no damage, and has the same consequence."""
        if RESTORED in notes:
            self.is_restored = True
            notes.remove(RESTORED)
            count -= 1
            self._event("backup_restored", directory=self.directory)
        self.damaged += count
        if count:
            self._event("record_damaged", count=count, what="; ".join(notes))

    # Notifications

    def _report(self) -> None:
        """Log the change between having a failure and having none."""
        failure = self.failure()
        if bool(failure) == self._is_reported:
            return
        self._is_reported = bool(failure)
        if failure:
            self._event("storage_failed", reason=failure)
        else:
            self._event("storage_recovered", pending_bytes=self.pending_bytes)

    def _event(self, name: str, **fields: object) -> None:
        if self._trace is not None:
            self._trace.event(name, **fields)

    def _error(self, reason: str) -> StoreError:
        return StoreError(f"data directory {self.directory}: {reason}")
