"""Scripts on their way to the node that runs them, which is the coordinator of the first key.

A node that says that it does not keep the key has done nothing, and the script is sent elsewhere.
It is not sent again for any other reason.
"""

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
from respdyn.coordination.forwarding import NO_AGREEMENT, OUTCOME_UNKNOWN
from respdyn.coordination.group_messages import Outcome
from respdyn.coordination.groups import GROUP, Groups
from respdyn.coordination.holds import Holds
from respdyn.coordination.may_write import NO_OWNER
from respdyn.coordination.script_messages import NO_BODY, ScriptCall, encode
from respdyn.coordination.script_run import AskNode, ScriptExecution
from respdyn.coordination.scripts import Script, Scripts
from respdyn.ports import ScriptHost
from respdyn.ring.hashing import Locator, slot_of

SCRIPT: Final = b"EVAL"
TRIES: Final = 3


def _ignore(
    argv: list[bytes], db: int, resp3: bool, done: Callable[[bytes], None]
) -> None:
    raise AssertionError("the sessions are made after this")


class ScriptSender:
    """Has scripts run, here or elsewhere."""

    def __init__(self, groups: Groups, host: ScriptHost) -> None:
        self.scripts = Scripts(groups.node, host)
        self.holds = Holds(groups)
        groups.dispatcher.forwarding.lost = self.holds.lose
        self.scripts.holds = self.holds.expire, self.holds.next_deadline
        self.ask: AskNode = _ignore     # runs what only the node can answer; by the sessions
        self._groups = groups
        self._node = groups.node
        self._here = groups.node.identity.node_id
        self._sent: set[tuple[str, str]] = set()    # peers, and hashes of what they were sent

    def send(
        self, call: ScriptCall, script: Script, terms: Terms, deadline_ms: int, waiter: Waiter,
        tries: int = TRIES,
    ) -> None:
        """Have it done; `waiter` gets the reply."""
        done = partial(self._done, call, script, terms, deadline_ms, waiter, tries)
        peer = self._here
        if call.keys:
            plan = self._node.plans[slot_of(call.keys[0])]
            peer = plan.coordinator if plan.has_owner else ""
        if not peer:
            waiter.fail(NO_OWNER)
        elif peer == self._here:
            self.run(call, script, deadline_ms, done)
        else:
            self._forward(peer, call, script, terms, deadline_ms, done)

    def run(
        self, call: ScriptCall, script: Script, deadline_ms: int,
        done: Callable[[Outcome], None],
    ) -> None:
        """Do it here."""
        groups = self._groups
        refusal = self.scripts.refusal()
        if refusal:
            done(refusal)
            return

        def finished(outcome: Outcome) -> None:
            groups.running -= 1
            done(outcome)

        groups.running += 1
        ScriptExecution(
            groups, self.scripts, self.ask, call, script, deadline_ms, finished
        ).start()

    def _forward(
        self, peer: str, call: ScriptCall, script: Script, terms: Terms, deadline_ms: int,
        done: Callable[[Outcome], None], is_known: bool = True,
    ) -> None:
        command = find([SCRIPT])
        assert command is not None
        sent = peer, call.sha
        if sent not in self._sent or not is_known:
            self._sent.add(sent)
            call = msgspec.structs.replace(call, body=script.body)

        def answered(reply: bytes) -> None:
            if reply == NO_BODY and is_known:
                self._forward(peer, call, script, terms, deadline_ms, done, False)
            elif reply in (NOT_RUN, UNKNOWN):
                done(reply)
            else:
                done([reply])

        # One hop is counted already: a script is not passed on, and not run again by itself.
        forwarded = Call(
            command, [SCRIPT, encode(call)], 0, False, terms, deadline_ms, 1, deadline_ms
        )
        name = cast(Locator, GROUP + peer.encode())     # in order with groups for that peer
        self._groups.dispatcher.forwarding.send(forwarded, name, peer, Continuation(answered))

    def _done(
        self, call: ScriptCall, script: Script, terms: Terms, deadline_ms: int, waiter: Waiter,
        tries: int, outcome: Outcome,
    ) -> None:
        if isinstance(outcome, list):
            waiter.fill(outcome[0])
        elif isinstance(outcome, str):
            waiter.fail(outcome)
        elif outcome == NOT_RUN and tries > 1 and deadline_ms > self._node.now.now_ms:
            self.send(call, script, terms, deadline_ms, waiter, tries - 1)
        else:
            waiter.fail(NO_AGREEMENT if outcome == NOT_RUN else OUTCOME_UNKNOWN)

    def forwarded(
        self, call: ScriptCall, deadline_ms: int, waiter: Waiter
    ) -> None:
        """A peer's script: it has arrived in time, and may wait for its keys until its end."""
        if call.body is not None:
            script = self.scripts.keep(call.sha, call.body, False)
        else:
            found = self.scripts.find(call.sha)
            if found is None:
                waiter.fill(NO_BODY)
                return
            script = found

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, list):
                waiter.fill(outcome[0])
            elif isinstance(outcome, str):
                waiter.fail(outcome)
            else:
                waiter.fill(UNKNOWN if outcome is None else outcome)

        self.run(call, script, deadline_ms, done)
