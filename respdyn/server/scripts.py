"""The script process on an event loop: begun, fed, watched, stopped, and begun anew when it dies.

No decision is made here. What is in the process, and what is done about a job when it dies, the
node knows (`coordination/scripts`); this tells it at which job that was.

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
from collections.abc import Callable
from typing import Final

from respdyn.ports import ScriptHost
from respdyn.server.script_page import NUMBER, PAGE_BYTES, STOP, framed, take_frames

GRACE_S: Final = 0.1            # from "stop" until the process is killed
AGAIN_S: Final = 0.5            # from the end of a nursery until the next
_READ_BYTES: Final = 1 << 18


class ScriptProcess(ScriptHost):
    """A nursery, and its worker."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, memory: int, scripted: Callable[[bytes], None],
        died: Callable[[int, str], None],
    ) -> None:
        self.pid = 0                    # of the worker
        self._loop = loop
        self._memory = memory
        self._on_scripted = scripted
        self._on_died = died
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._worker: socket.socket | None = None
        self._died_at: int | None = None        # the job of a worker whose status is not known yet
        self._in = bytearray()
        self._out = bytearray()
        self._is_writing = False
        with tempfile.TemporaryFile() as file:
            file.truncate(PAGE_BYTES)
            self._page_file = os.dup(file.fileno())
        self._page = mmap.mmap(self._page_file, PAGE_BYTES)
        self._is_over = False
        self._doomed: set[int] = set()          # jobs that must stop

    # ---- up and down ----

    def start(self) -> None:
        """Begin the nursery, and a worker."""
        if self._nursery is not None or self._is_over:
            return
        ours, theirs = socket.socketpair()
        os.set_inheritable(self._page_file, True)
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "respdyn.server.script_worker",
             str(theirs.fileno()), str(self._page_file), str(self._memory)],
            pass_fds=(theirs.fileno(), self._page_file), stdin=subprocess.DEVNULL,
        )
        theirs.close()
        ours.setblocking(False)
        self._control = ours
        self._loop.add_reader(ours.fileno(), self._heard_of_nursery)
        self._ask_worker()

    def stop_all(self) -> None:
        """End both."""
        self._is_over = True
        self._drop_worker()
        self._drop_nursery()
        self._page.close()
        os.close(self._page_file)

    def _ask_worker(self) -> None:
        """Have the nursery fork a worker; what is submitted meanwhile waits in its socket."""
        assert self._control is not None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._page[NUMBER], self._page[STOP] = bytes(8), b"\xff" * 8
        self._doomed.clear()
        self._in.clear()
        self._out.clear()
        try:
            socket.send_fds(self._control, [b"w"], [theirs.fileno()])
        except OSError:
            ours.close()
            self._end_nursery()
            return
        finally:
            theirs.close()
        self._worker = ours
        self._loop.add_reader(ours.fileno(), self._readable)

    def _drop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            self._loop.remove_reader(worker.fileno())
            if self._is_writing:
                self._loop.remove_writer(worker.fileno())
                self._is_writing = False
            worker.close()
        self.pid = 0

    def _drop_nursery(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            self._loop.remove_reader(control.fileno())
            control.close()
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            nursery.terminate()
            nursery.wait()

    def _heard_of_nursery(self) -> None:
        """It tells how the last worker ended, and the number of the new one; or it has ended."""
        assert self._control is not None
        try:
            told = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if not told:
            self._end_nursery()
            return
        for line in told.splitlines():
            status, self.pid = map(int, line.split())
            if self._died_at is not None:
                number, self._died_at = self._died_at, None
                self._on_died(number, _reason(status))

    def _end_nursery(self) -> None:
        """Begin another, a little later: it may be that none can be begun."""
        number = self._died_at if self._died_at is not None else self._at_hand()
        self._died_at = None
        self._drop_worker()
        self._drop_nursery()
        self._loop.call_later(AGAIN_S, self.start)
        self._on_died(number, "the process that it is forked from ended")

    # ---- jobs ----

    def submit(self, frame: bytes) -> None:
        """See `ScriptHost`."""
        self.start()
        self._out += framed(frame)
        if not self._is_writing:
            self._write()

    def stop(self, number: int) -> None:
        """See `ScriptHost`: it is told, and killed if it goes on all the same."""
        if not self._doomed:
            self._loop.call_later(GRACE_S, self._look, 0)
        self._doomed.add(number)
        if self._at_hand() == number:
            self._page[STOP] = number.to_bytes(8)

    def _look(self, warned: int) -> None:
        """Once in a while, as long as there are jobs that must stop: is one of them at hand?"""
        number = 0 if self._is_over else self._at_hand()
        if number not in self._doomed:
            self._doomed.difference_update([one for one in self._doomed if not number])
        elif number == warned and self.pid:
            os.kill(self.pid, signal.SIGKILL)
        else:
            self._page[STOP] = number.to_bytes(8)
        if self._doomed:
            self._loop.call_later(GRACE_S, self._look, number)

    def _at_hand(self) -> int:
        return int.from_bytes(self._page[NUMBER])

    def _write(self) -> None:
        worker = self._worker
        if worker is None:
            return
        try:
            while self._out:
                del self._out[: worker.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()           # its end is about to be read
        if bool(self._out) != self._is_writing:
            self._is_writing = not self._is_writing
            if self._is_writing:
                self._loop.add_writer(worker.fileno(), self._write)
            else:
                self._loop.remove_writer(worker.fileno())

    def _readable(self) -> None:
        assert self._worker is not None
        try:
            data = self._worker.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._died_at = self._at_hand()
            self._drop_worker()
            self._ask_worker()
            return
        self._in += data
        for frame in take_frames(self._in):
            self._on_scripted(frame)


def _reason(status: int) -> str:
    """How a process ended, from its status."""
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"
