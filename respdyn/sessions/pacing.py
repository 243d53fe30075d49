"""Pacing: a node has no more commands of its clients under way than it finishes in good time.

A command's time-out runs from the moment at which it is begun. A client may pipeline thousands, and
fifty clients fifty times that. If all were begun as they come, and the nodes finished five hundred
a second, because the machine has other things to do, the last would be begun together with the
first and time out, though nothing is wrong: the store is merely behind. So there is a *window*.
While as many as that are under way, a client that waits for a reply is not read any further; its
commands stay in its socket, and it slows down. A client that waits for nothing has its next command
begun at once, so one that sends one command at a time does not wait for one that sends thousands.

The window follows from the rate. What is under way now takes, by Little's law, `held / rate` to be
finished. If that is less than a `SHARE`th of `request-timeout` the window grows, if it is more it
becomes what is finished in that time; so nodes may become several times slower from one moment to
the next and still finish in time. It begins small, for of an idle node nothing is
known, and is out of the way within a few hundredths of a second where nodes are quick.

What a peer or a disk takes is bounded by bytes beside this (`holding`).

Source: Little (1961); TCP's slow start (Jacobson 1988); limits found from latency as in TCP Vegas.
"""

from collections import deque
from typing import Final

from respdyn.sessions.session import SharedSessionState

SHARE: Final = 8            # of `request-timeout`: in that time what is under way shall be finished
FIRST: Final = 128          # commands under way, before anything is known
LEAST: Final = 64           # for where answers take long by distance, not by work
BUSY: Final = LEAST // 2    # with fewer there is nothing to learn
LOOK_MS: Final = 10         # between two looks
SPAN_MS: Final = 500        # over which the rate is taken
ENOUGH: Final = 16          # finished, or
SURE_MS: Final = 100        # so long looked at: then a rate is known
IDLE_MS: Final = 1000       # after that with little to do all is unknown again


class Pacing:
    """Moves the window of a node's sessions."""

    def __init__(self, load: SharedSessionState) -> None:
        self._load = load
        # When, and how many were finished since the start; the oldest first.
        self._samples: deque[tuple[int, int]] = deque()
        self._busy_ms = 0
        load.window = FIRST

    def look(self, now_ms: int, timeout_ms: int) -> None:
        """Judge what is under way. Call every turn, when time has moved."""
        load, samples = self._load, self._samples
        if load.held < BUSY:
            samples.clear()
            if now_ms - self._busy_ms > IDLE_MS:
                load.window = FIRST
            return
        self._busy_ms = now_ms
        if samples and now_ms - samples[-1][0] < LOOK_MS:
            return
        samples.append((now_ms, load.finished))
        while now_ms - samples[0][0] > SPAN_MS and len(samples) > 2:
            samples.popleft()
        passed_ms = now_ms - samples[0][0]
        finished = load.finished - samples[0][1]
        if finished < ENOUGH and passed_ms < SURE_MS:
            return
        most = finished * timeout_ms // (SHARE * passed_ms)     # are finished in that time
        if load.held > most:
            load.window = min(load.window, max(most, LEAST))
        elif load.held * 2 > load.window:
            load.window = max(load.window, min(2 * load.window, most, load.window_most))
