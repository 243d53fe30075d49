"""The process that runs scripts, and the one that it is forked from.

    server --- control ---> nursery --- fork ---> workers <--- frames ---> server

Scripts may end the process that they run in: a hole in Lua, a memory limit, a kill because one of
them is stuck where nothing can stop it. To import all that they need takes half a second, so that
is done once, in the *nursery*, which then forks a *worker* each time one is wanted. There are two
of them, one at work and a spare one that has made all ready: when the first dies no script waits.

When the server ends, be it killed, the nursery ends and takes its workers along: one may be stuck
where it does not see that no client waits for it.

Worker and server share a page: the number of the job at hand, written here, and the number of a job
that must stop, written there. So the server knows who was at work when a worker died.

Run as `python -m respdyn.server.script_worker CONTROL PAGE MEMORY`: two descriptors, and how many
bytes Lua may hold. The process must lead a group of its own.
"""

import mmap
import os
import resource
import signal
import socket
import sys
from time import monotonic
from typing import Final

from respdyn.scripting.job import encode, read_batch
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
from respdyn.sessions.acl_rules import judge_of

_FLUSH_S: Final = 0.001             # outcomes wait no longer for others
_READ_BYTES: Final = 1 << 18
# What the process may grow by, as a multiple of what Lua may hold: to collect garbage takes room,
# and so do records and replies.
_GROWTH: Final = 4


def main(arguments: list[str]) -> None:
    """The nursery."""
    control = socket.socket(fileno=int(arguments[0]))
    page = mmap.mmap(int(arguments[1]), PAGE_BYTES)
    memory = int(arguments[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # the server says when it is over
    try:
        import respdyn.scripting.lua  # noqa: F401  # which imports lupa: once for all workers
    except ImportError as wrong:
        control.sendall(b"%b %b\n" % (LACKS, str(wrong).replace("\n", " ").encode()))
        return
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 8, 1)
        except ConnectionResetError:        # the server ended before it had read everything
            message = b""
        if not message:
            os.killpg(0, signal.SIGKILL)
        dead = int.from_bytes(message)
        if dead:
            control.sendall(b"%b %d\n" % (ENDED_SO, os.waitpid(dead, 0)[1]))
        pid = os.fork()
        if not pid:
            control.close()
            work(socket.socket(fileno=descriptors[0]), page, memory)
            os._exit(0)
        os.close(descriptors[0])
        control.sendall(b"%b %d\n" % (FORKED, pid))


def work(server: socket.socket, page: mmap.mmap, memory: int) -> None:
    """A worker: batches in, outcomes out, until the server hangs up."""
    from respdyn.scripting.lua import Engine

    _limit(memory)
    most_kb = memory >> 10

    def begins(number: int) -> None:
        page[NUMBER] = number.to_bytes(8)

    def is_over() -> bool:
        return page[STOP] == page[NUMBER] or engine.holds_too_much(most_kb)

    engine = Engine(judge_of, is_over, begins, most_kb)
    _send(server, b"")              # ready
    held = bytearray()
    while data := server.recv(_READ_BYTES):
        held += data
        for frame in take_frames(held):
            done, began = [], monotonic()
            for outcome in engine.run(read_batch(frame)):
                done.append(outcome)
                if monotonic() - began > _FLUSH_S:
                    _send(server, encode(done))
                    done, began = [], monotonic()
            if done:
                _send(server, encode(done))
            if engine.held_kb() > most_kb // 2:
                return          # to collect that would take longer than to go on with the spare one


def _send(server: socket.socket, frame: bytes) -> None:
    server.sendall(framed(frame))


def _limit(memory: int) -> None:
    """No core files; an end to what may be allocated, where the system says what is now."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
    except (OSError, ValueError):
        return
    most = pages * mmap.PAGESIZE + _GROWTH * memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
