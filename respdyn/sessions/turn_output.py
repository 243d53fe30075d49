"""What a node lets out at the end of a turn, and whose replies go with it."""

from typing import Final

from respdyn.sessions.session import Session

_WORTH_A_WRITE: Final = 8192       # bytes of replies that do not wait for more


class TurnOutput:
    """What leaves at the end of a turn."""

    __slots__ = ("batch", "frames", "generation", "sessions", "sync")

    def __init__(
        self, sessions: list[Session], frames: list[tuple[str, list[bytes]]], batch: list[bytes],
        generation: int, sync: bool,
    ) -> None:
        self.sessions = sessions          # those with output, or to be closed
        self.frames = frames              # (peer, the frame's pieces)
        self.batch = batch                # flat pairs for the store
        self.generation = generation      # 0: no batch
        self.sync = sync                  # the batch must be on disk before it counts as durable


def to_write(dirty: list[Session]) -> list[Session]:
    """Those with output. One whose pipeline is half answered waits a turn for the rest.

    Its replies come from several coordinators, a few in each turn; one write for most of them
    costs a fifth less than one for each turn. It waits a millisecond at the most.
    """
    ready: list[Session] = []
    waiting: list[Session] = []
    for session in dirty:
        if session.pending and not session.is_put_off and session.out_bytes < _WORTH_A_WRITE:
            session.is_put_off = True
            waiting.append(session)
        else:
            session.is_put_off = session.is_dirty = False
            ready.append(session)
    dirty[:] = waiting
    return ready
