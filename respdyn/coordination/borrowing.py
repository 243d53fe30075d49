"""Keys that other nodes hold for a script of this node (`holds`): requested, written, let go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, cast

import msgspec

from respdyn.cluster.messages import NOT_RUN, UNKNOWN
from respdyn.cluster.quorum import Waiter
from respdyn.cluster.terms import Terms
from respdyn.commands.table import find
from respdyn.coordination.calls import Call, Continuation
from respdyn.coordination.groups import GROUP, Groups
from respdyn.coordination.script_messages import (
    BUSY,
    Commit,
    Hold,
    Lent,
    ScriptCall,
    encode,
    lents,
)
from respdyn.coordination.scripts import Scripts
from respdyn.resp.replies import error
from respdyn.ring.hashing import Locator
from respdyn.scripting.job import Change, Given

HOLD: Final = b"HOLD"
COMMIT: Final = b"COMMIT"
_NO_ANSWER: Final = "TIMEOUT a node that was to hold a key did not answer: nothing was done"
_NOT_STORED: Final = (
    "PARTIAL the script ran; whether its writes to keys of another node are stored is not known"
)

# What became of a wish: True, False if a key is busy, or why the script cannot be run.
Answered = Callable[[bool | str | bytes], None]


class Borrowing:
    """What one script has borrowed."""

    def __init__(
        self, groups: Groups, scripts: Scripts, call: ScriptCall, deadline_ms: int
    ) -> None:
        self.records: dict[Locator, Given] = {}
        self.refusal = ""                           # why nothing can be written to some of it
        self._groups = groups
        self._scripts = scripts
        self._call = call
        self._deadline_ms = deadline_ms
        self._holds: dict[int, str] = {}            # by number: who lends
        self._of: dict[Locator, int] = {}           # by key: the number

    def ask(
        self, peer: str, names: list[Locator], waits: bool, dots: int, done: Answered
    ) -> None:
        """Have a node hold these keys."""
        call, number = self._call, self._scripts.number()
        hold = Hold(number, names, call.r, call.w, call.sloppy, dots, waits)
        self._holds[number] = peer
        self._send(peer, [HOLD, encode(hold)], partial(self._answered, number, names, done))

    def _answered(
        self, number: int, names: list[Locator], done: Answered, reply: bytes
    ) -> None:
        if self._holds.get(number) is None:         # it was let go meanwhile
            return
        outcome: bool | str | bytes
        if reply == UNKNOWN:
            outcome = _NO_ANSWER
        elif reply == NOT_RUN:
            outcome = NOT_RUN
        elif reply == BUSY:
            outcome = False
        elif reply[:1] == b"-":
            outcome = reply[1:-2].decode("latin-1")
        else:
            outcome = self._lent(number, names, reply)
        if outcome is not True and reply != UNKNOWN:
            del self._holds[number]                 # nothing is held there
        done(outcome)

    def _lent(self, number: int, names: list[Locator], reply: bytes) -> bool | str:
        try:
            lent: Lent = lents.decode(reply)
        except msgspec.MsgspecError:
            return _NO_ANSWER
        if sorted(given.locator for given in lent.records) != sorted(names):
            return _NO_ANSWER
        for given in lent.records:
            self.records[given.locator] = given
            self._of[given.locator] = number
        self.refusal = self.refusal or lent.refusal
        return True

    def let_go(self) -> None:
        """Write nothing, and have all keys let go."""
        holds, self._holds = self._holds, {}
        self.records.clear()
        self._of.clear()
        self.refusal = ""
        for number, peer in holds.items():
            self._commit(number, peer, [], lambda reply: None)

    def lenders(self, changes: list[Change]) -> int:
        """How many holds these changes belong to."""
        return len({self._of[change.locator] for change in changes})

    def commit(self, changes: list[Change], places: list[Waiter]) -> None:
        """Have changes written, by the holds that they belong to; each fills one place."""
        by_number: dict[int, list[Change]] = {}
        for change in changes:
            by_number.setdefault(self._of[change.locator], []).append(change)
        for (number, some), place in zip(by_number.items(), places, strict=True):
            self._commit(number, self._holds.pop(number), some, partial(_stored, place))
        self.let_go()

    def _commit(
        self, number: int, peer: str, changes: list[Change], done: Callable[[bytes], None]
    ) -> None:
        commit = Commit(number, self._call.w, self._call.sloppy, changes)
        self._send(peer, [COMMIT, encode(commit)], done)

    def _send(self, peer: str, argv: list[bytes], done: Callable[[bytes], None]) -> None:
        command = find([b"EVAL"])
        assert command is not None
        groups = self._groups
        left_ms = max(1, self._deadline_ms - groups.now.now_ms)
        terms = Terms(self._call.r, self._call.w, self._call.sloppy, left_ms)
        # One hop is counted already: it is not passed on, and not run again by itself.
        call = Call(
            command, argv, 0, False, terms, self._deadline_ms, 1, self._deadline_ms
        )
        name = cast(Locator, GROUP + peer.encode())     # in order with what else goes there
        groups.dispatcher.forwarding.send(call, name, peer, Continuation(done))


def _stored(place: Waiter, reply: bytes) -> None:
    place.fill(error(_NOT_STORED) if reply in (UNKNOWN, NOT_RUN) else reply)
