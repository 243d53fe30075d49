"""The storage process: takes batches from a socket, writes them, says what is durable.

`rocksdb.RocksStore` starts it as `python -m respdyn.storage.process` with one end of a socket pair.
Its whole life is one loop:

    wait -> receive all that has come -> write it as one group -> sync if one wants it -> answer
    once

so batches that arrive while the disk is busy share the next fsync (group commit) without further
code.

It outlives its node, on purpose and not for long. When the node's end of the socket closes, be it
by `kill -9`, what was handed over is in the socket's buffer; it is written and synced before the
process ends. SIGINT and SIGHUP are ignored (a terminal sends them to the whole group, and the node
decides). After SIGTERM it serves until the node closes, but at most `TERM_GRACE_S` longer.

When the disk fails, it keeps the group at hand, says why, reads no more (so it keeps one group,
about `GROUP_BYTES`; the rest waits in the socket and in the node, which has a limit and refuses
writes meanwhile), and tries again every second until it works. Nothing is dropped.
"""

import argparse
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from contextlib import closing
from itertools import takewhile
from pathlib import Path

from respdyn.storage.database import Database
from respdyn.storage.store import (
    BATCH,
    COPIED,
    COPY,
    DAMAGED,
    DAMAGED_RANGE,
    DURABLE,
    FAILED,
    HEALED,
    LOADED,
    OPENED,
    PAIRS,
    RECOVERED,
    REFUSED,
    SCRUBBED,
    SYNC,
    Frame,
    FrameReader,
    StoreError,
    encode_frame,
)

GROUP_BYTES = 4 << 20
SCRUB_BYTES = 256 << 10
SCRUB_S = 0.25
"""What is on the disk is read again and checked, so much at a time, so far apart."""
SCRUB_REST_S = 60.0
"""Between two walks over all of it."""
RECEIVE_BYTES = 1 << 20
SYNC_INTERVAL_S = 1.0
TIDY_S = 60.0
"""How long deleted data may take space before it is given back."""
RETRY_S = 1.0
RETRY_SHARE = 4
"""An attempt that took long (a rebuild) is followed by a pause this many times as long."""
LAST_ATTEMPTS = 10
"""How often a group is tried again once the node is gone."""
TERM_GRACE_S = 5.0
LOCK_WAIT_S = 30.0
"""How long a predecessor whose node is gone may take to write what it was given."""
LOCK_POLL_S = 0.02
NEVER = float("inf")


class Keeper:
    """The loop between a socket and a database."""

    def __init__(self, link: socket.socket, database: Database, is_everysec: bool) -> None:
        self._link = link
        self._database = database
        self._is_everysec = is_everysec
        self._poller = select.poll()
        self._poller.register(link, select.POLLIN)
        self._reader = FrameReader()
        self._scratch = memoryview(bytearray(RECEIVE_BYTES))
        self._frames: deque[Frame] = deque()
        self._is_ended = False
        """Nothing more comes from the node."""
        self._end_at = NEVER
        self._sync_at = NEVER
        self._tidy_at = NEVER
        self._failure = ""
        self._pause_s = 0.0
        self._attempts = 0
        self._damages = 0
        self._is_loaded = False
        self._scrub_at = NEVER          # until the node has what is here
        self._scrub_key = b""
        self._scrub_count = 0
        self._is_damaged = False
        """The node has been informed of damage and has not answered yet."""

    def terminate(self, _signal: int, _frame: object) -> None:
        """SIGTERM: end soon, even if the node does not."""
        self._end_at = min(self._end_at, time.monotonic() + TERM_GRACE_S)

    def run(self) -> str:
        """Serve until the node is gone. Returns why something is not on disk, or ""."""
        self._say(OPENED, self._database.estimate())
        while True:
            if self._failure:
                time.sleep(self._pause_s)
                if self._is_given_up():
                    return self._failure
            elif not self._frames:
                if self._is_ended:
                    return ""
                self._wait()
                self._receive()
            self._turn()

    def _wait(self) -> None:
        now = time.monotonic()
        until = min(self._sync_at, self._end_at, self._scrub_at, self._tidy_at, now + 1.0)
        wait_s = max(until - now, 0.0)
        self._poller.poll(wait_s * 1000.0)

    def _is_given_up(self) -> bool:
        """Whether to stop trying: after SIGTERM, or long after the node has gone."""
        is_gone = any(events & select.POLLHUP for _, events in self._poller.poll(0))
        if time.monotonic() >= self._end_at:
            return True
        return (is_gone or self._is_ended) and self._attempts >= LAST_ATTEMPTS

    def _receive(self) -> None:
        """All that has come, up to a group."""
        self._is_ended = time.monotonic() >= self._end_at
        received = 0
        while received < GROUP_BYTES:
            try:
                count = self._link.recv_into(self._scratch, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionError:
                # The node went with answers unread. All it had sent was received before this.
                count = 0
            if count == 0:
                self._is_ended = True
                return
            received += count
            self._frames += self._reader.feed(self._scratch[:count])

    def _turn(self) -> None:
        """Do what can be done now; a failure is noted and changes what the next turn does."""
        started = time.monotonic()
        try:
            if self._failure:
                self._database.heal()
            self._send_damage()
            if self._frames:
                self._serve()
            elif not self._is_ended and time.monotonic() >= self._scrub_at:
                self._scrub()
            if self._is_ended or time.monotonic() >= self._sync_at:
                self._database.sync()
                self._sync_at = NEVER
            if time.monotonic() >= self._tidy_at:
                self._tidy_at = NEVER
                self._database.tidy()
        except StoreError as error:
            self._attempts += 1
            self._pause_s = max(RETRY_S, RETRY_SHARE * (time.monotonic() - started))
            if str(error) != self._failure:
                self._failure = str(error)
                self._say(FAILED, 0, [self._failure.encode()])
        else:
            self._attempts = 0
            if self._failure:
                self._failure = ""
                self._say(RECOVERED)

    def _serve(self) -> None:
        """The next group of batches, or the next request."""
        frames = self._frames
        group = list(takewhile(lambda frame: frame.kind == BATCH, frames))
        if not group:
            frame = frames.popleft()
            if frame.kind == COPY:
                self._copy(frame.items[0])
            elif frame.kind == HEALED:
                self._is_damaged = False
                self._database.forgive()
            else:
                self._load()
            return
        sync = any(frame.flags & SYNC for frame in group)
        self._database.write([frame.items for frame in group], sync)
        for _ in group:
            frames.popleft()
        self._say(DURABLE, group[-1].generation)
        if self._tidy_at == NEVER:
            self._tidy_at = time.monotonic() + TIDY_S
        if self._scrub_at == NEVER:
            self._scrub_at = time.monotonic() + SCRUB_S
        if sync:
            self._sync_at = NEVER
        elif self._is_everysec and self._sync_at == NEVER:
            self._sync_at = time.monotonic() + SYNC_INTERVAL_S
        if self._is_loaded and self._damages:
            self._database.forgive()
            self._damages = 0
        self._is_loaded = False

    def _copy(self, target: bytes) -> None:
        try:
            self._database.copy(Path(os.fsdecode(target)))
        except StoreError as error:
            self._say(COPIED, 0, [str(error).encode()])
        else:
            self._say(COPIED)

    def _scrub(self) -> None:
        """Check a piece of what is on the disk; the node writes again what is damaged."""
        self._scrub_at = time.monotonic() + SCRUB_S
        if self._is_damaged:
            return
        self._scrub_key, count, damaged_ranges = self._database.check(self._scrub_key, SCRUB_BYTES)
        self._scrub_count += count
        if not self._scrub_key:
            self._say(SCRUBBED, self._scrub_count)
            self._scrub_count = 0
            self._scrub_at += SCRUB_REST_S
        if damaged_ranges:
            self._is_damaged = True
            if self._database.must_rebuild:
                self._database.rebuild()
            for low, high in damaged_ranges:
                self._say(DAMAGED_RANGE, 0, [low, high])

    def _load(self) -> None:
        count = 0
        with closing(self._database.scan()) as scan:
            for pairs in scan:
                count += len(pairs) // 2
                if not self._say(PAIRS, count, pairs):
                    return
        self._send_damage()
        self._say(LOADED, count)
        self._scrub_at = time.monotonic() + SCRUB_S
        self._is_loaded = True
        if self._database.must_rebuild:
            self._database.rebuild()

    def _send_damage(self) -> None:
        count, notes = self._database.take_damages()
        if count:
            self._damages += count
            self._say(DAMAGED, count, [note.encode() for note in notes])

    def _say(self, kind: int, generation: int = 0, items: list[bytes] | None = None) -> bool:
        """Send a frame, waiting if the node is slow to read. Returns False if it is gone."""
        try:
            self._link.sendall(encode_frame(kind, 0, generation, items or ()))
        except ConnectionError:
            return False
        return True


def open_database(directory: str, owner: int, write_buffer_bytes: int) -> Database:
    """The database, locked and opened for the node with process id `owner`.

    Raises `StoreError`, naming the directory.
    """
    database = Database(directory, write_buffer_bytes)
    deadline = time.monotonic() + LOCK_WAIT_S
    while holder := database.lock(owner):
        if time.monotonic() > deadline or (holder != owner and _is_alive(holder)):
            raise StoreError(
                f"data directory {directory}: in use by another node (process id {holder})"
            )
        time.sleep(LOCK_POLL_S)
    database.open()
    return database


def _is_alive(process_id: int) -> bool:
    """Whether that process runs; one that is dead and not yet waited for does not."""
    if process_id < 0:
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] != "Z"


def main() -> int:
    """Serve the node at the other end of `--link`. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parser = argparse.ArgumentParser(description="the storage process of a respdyn node")
    parser.add_argument("directory")
    parser.add_argument("--link", type=int, required=True, help="inherited socket")
    parser.add_argument("--owner", type=int, required=True, help="process id of the node")
    parser.add_argument("--everysec", action="store_true", help="fsync once a second")
    parser.add_argument("--write-buffer-bytes", type=int, required=True)
    options = parser.parse_args()
    os.umask(0o077)
    link = socket.socket(fileno=options.link)
    try:
        database = open_database(options.directory, options.owner, options.write_buffer_bytes)
    except StoreError as error:
        link.sendall(encode_frame(REFUSED, 0, 0, [str(error).encode()]))
        return 1
    keeper = Keeper(link, database, options.everysec)
    signal.signal(signal.SIGTERM, keeper.terminate)
    loss = keeper.run()
    database.close()
    if loss:
        sys.stderr.write(f"respdyn storage: not everything could be written: {loss}\n")
    return 1 if loss else 0


if __name__ == "__main__":
    sys.exit(main())
