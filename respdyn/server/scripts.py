"""The script process on an event loop: begun, fed, watched, stopped, and begun anew when it dies.

No decision is made here. What is in the process, and what is done about a job when it dies, the
node knows (`coordination/scripts`); this reports at which job that was.

    process = ScriptProcess(loop, memory, begin, scripted, died)
    process.submit(frame)               the nursery is begun with the first, if not before

Source: decision 0056.
"""

import asyncio
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from respdyn.ports import ScriptHost
from respdyn.server.script_page import (
    ENDED_SO,
    FORKED,
    LACKS,
    NUMBER,
    PAGE_BYTES,
    STOP,
    framed,
    take_frames,
)

GRACE_S: Final = 0.05           # from "stop" until the process is killed
FORGET_S: Final = 60.0          # a job that must stop and was not met for so long has ended
AGAIN_S: Final = 0.5            # from the end of a nursery until the next
NOT_INSTALLED: Final = (
    "ERR no script can run at this node, since the Python package lupa cannot be imported there"
    " ({}): install it (pip install lupa) and start the node again"
)
_READ_BYTES: Final = 1 << 18


class _Worker:
    """A process that was asked for: our end of its socket, and what it has reported."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self.pid = 0                    # once the nursery has forked it
        self.is_ready = False           # once it has all that scripts need
        self.received = bytearray()


class ScriptProcess(ScriptHost):
    """A nursery, the worker at work, and a spare one that is ready to take its place."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, memory: int, scripted: Callable[[bytes], None],
        died: Callable[[int, str], None],
    ) -> None:
        self._loop = loop
        self._memory = memory
        self._on_scripted = scripted
        self._on_died = died
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._part = b""                # of a line by the nursery
        self._worker: _Worker | None = None
        self._spare: _Worker | None = None
        self._unnamed: deque[_Worker] = deque()   # whose process ids the nursery has not sent yet
        self._died_at: deque[int] = deque()     # the jobs of workers whose status is not known yet
        self._refusal = ""
        self._out = bytearray()
        self._is_writing = False
        with tempfile.TemporaryFile() as file:
            file.truncate(PAGE_BYTES)
            self._page_file = os.dup(file.fileno())
        self._page = mmap.mmap(self._page_file, PAGE_BYTES)
        self._is_over = False
        self._doomed: dict[int, float] = {}     # jobs that must stop, and since when

    @property
    def pid(self) -> int:
        """Of the worker at work; 0 if there is none."""
        return 0 if self._worker is None else self._worker.pid

    def refusal(self) -> str:
        """See `ScriptHost`."""
        return self._refusal

    def is_starting(self) -> bool:
        """See `ScriptHost`."""
        return not (self._refusal or self._is_over or (self._worker and self._worker.is_ready))

    # ---- up and down ----

    def start(self) -> None:
        """Begin the nursery, a worker, and a spare one."""
        if self._nursery is not None or self._is_over or self._refusal:
            return
        ours, theirs = socket.socketpair()
        os.set_inheritable(self._page_file, True)
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "respdyn.server.script_worker",
             str(theirs.fileno()), str(self._page_file), str(self._memory)],
            pass_fds=(theirs.fileno(), self._page_file), stdin=subprocess.DEVNULL, process_group=0,
        )
        theirs.close()
        ours.setblocking(False)
        self._control = ours
        self._loop.add_reader(ours.fileno(), self._read_nursery)
        self._put_to_work(self._ask_worker(0))

    def stop_all(self) -> None:
        """End all of them."""
        self._is_over = True
        self._drop_nursery()
        self._page.close()
        os.close(self._page_file)

    def _ask_worker(self, dead: int) -> _Worker | None:
        """Have the nursery fork a worker, and report how a dead one ended."""
        assert self._control is not None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        worker = _Worker(ours)
        try:
            socket.send_fds(self._control, [dead.to_bytes(8)], [theirs.fileno()])
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        self._unnamed.append(worker)
        self._loop.add_reader(ours.fileno(), self._readable, worker)
        return worker

    def _put_to_work(self, worker: _Worker | None) -> None:
        """From now on jobs go to this one; what is submitted meanwhile waits in its socket."""
        self._page[NUMBER], self._page[STOP] = bytes(8), b"\xff" * 8
        self._doomed.clear()
        self._out.clear()
        self._worker = worker
        if worker is None:
            self._end_nursery()

    def _drop(self, worker: _Worker | None) -> None:
        if worker is None:
            return
        self._loop.remove_reader(worker.socket.fileno())
        if worker is self._worker and self._is_writing:
            self._loop.remove_writer(worker.socket.fileno())
            self._is_writing = False
        worker.socket.close()

    def _drop_nursery(self) -> None:
        for worker in (self._worker, self._spare):
            self._drop(worker)
        self._worker = self._spare = None
        self._unnamed.clear()
        self._part = b""
        control, self._control = self._control, None
        if control is not None:
            self._loop.remove_reader(control.fileno())
            control.close()
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            with suppress(ProcessLookupError):
                os.killpg(nursery.pid, signal.SIGKILL)      # and its workers, be they stuck
            nursery.wait()

    def _read_nursery(self) -> None:
        """It reports workers, that it cannot do without a package, or has ended."""
        assert self._control is not None
        try:
            report = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            report = b""
        if not report:
            self._end_nursery()
            return
        *lines, self._part = (self._part + report).split(b"\n")
        for line in lines:
            kind, _, said = line.partition(b" ")
            if kind == FORKED:
                self._unnamed.popleft().pid = int(said)
            elif kind == ENDED_SO and self._died_at:
                self._on_died(self._died_at.popleft(), _reason(int(said)))
            elif kind == LACKS:
                self._refusal = NOT_INSTALLED.format(said.decode("utf-8", "replace"))

    def _end_nursery(self) -> None:
        """Begin another, a little later: it may be that none can be begun."""
        numbers = [*self._died_at, self.at_hand()]
        self._died_at.clear()
        self._drop_nursery()
        self._loop.call_later(AGAIN_S, self.start)
        for number in numbers:
            self._on_died(number, "the process that it is forked from ended")

    def _has_died(self, worker: _Worker) -> None:
        """The spare one takes its place at once, and another becomes the spare one."""
        if worker is self._worker:
            number = self.at_hand()
            self._drop(worker)
            spare, self._spare = self._spare, None
            self._put_to_work(spare or self._ask_worker(worker.pid))
            if spare is not None:
                self._spare = self._ask_worker(worker.pid)
            if worker.pid:
                self._died_at.append(number)        # how, the nursery will report
            else:
                self._on_died(number, "it had just begun")
        else:
            self._drop(worker)
            self._spare = None          # another is asked for when this worker's place is taken

    # ---- jobs ----

    def submit(self, frame: bytes) -> None:
        """See `ScriptHost`."""
        if self._refusal:
            self._loop.call_soon(self._on_died, 0, "no process can be started")
            return
        self.start()
        self._out += framed(frame)
        if not self._is_writing:
            self._write()

    def stop(self, number: int) -> None:
        """See `ScriptHost`: it gets a signal, and is killed if it goes on all the same."""
        if not self._doomed:
            self._loop.call_later(GRACE_S, self._look, number)
        self._doomed[number] = self._loop.time()
        if self.at_hand() == number:
            self._page[STOP] = number.to_bytes(8)

    def _look(self, warned: int) -> None:
        """Once in a while, as long as there are jobs that must stop: is one of them at hand?"""
        number = self.at_hand()
        if number not in self._doomed:
            old = self._loop.time() - FORGET_S
            self._doomed = {one: at for one, at in self._doomed.items() if at > old}
        elif number == warned and self.pid:
            os.kill(self.pid, signal.SIGKILL)
        else:
            self._page[STOP] = number.to_bytes(8)
        if self._doomed:
            self._loop.call_later(GRACE_S, self._look, number)

    def at_hand(self) -> int:
        """See `ScriptHost`."""
        return 0 if self._is_over else int.from_bytes(self._page[NUMBER])

    def _write(self) -> None:
        worker = self._worker
        if worker is None:
            return
        try:
            while self._out:
                del self._out[: worker.socket.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()           # its end is about to be read
        if bool(self._out) != self._is_writing:
            self._is_writing = not self._is_writing
            if self._is_writing:
                self._loop.add_writer(worker.socket.fileno(), self._write)
            else:
                self._loop.remove_writer(worker.socket.fileno())

    def _readable(self, worker: _Worker) -> None:
        try:
            data = worker.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._has_died(worker)
            return
        worker.received += data
        for frame in take_frames(worker.received):
            if frame:
                self._on_scripted(frame)
                continue
            worker.is_ready = True
            if worker is self._worker and self._spare is None:
                self._spare = self._ask_worker(0)


def _reason(status: int) -> str:
    """How a process ended, from its status."""
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"
