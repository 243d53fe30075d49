"""Deliberate bugs of scripts. See `mutants`.

Source: decisions 0056, 0057, 0060.
"""

from respdyn.coordination.holds import HoldExecution
from respdyn.coordination.script_run import ScriptExecution
from respdyn.node import Node
from respdyn.scripting.overlay import Overlay
from tests.sim.bugs import SMALL, Bug

finish, fail = ScriptExecution._finish, ScriptExecution.fail


def finish_the_first(self, outcome):
    """Of what a script has written to several keys only one is shipped."""
    del outcome.changes[1:]
    finish(self, outcome)


class WritesOnlyTheFirstKey(Node):
    """A script that has written to several keys is answered when one of them is stored."""

    patches = ((ScriptExecution, "_finish", finish_the_first),)


def begin_anew(self, job, judge):
    """The next script of a chain begins with the records that the chain was given."""
    overlay = Overlay(job, judge)
    overlay._keys = self._keys
    overlay._add(self._job.records)
    return overlay


class ForgetsWithinAChain(Node):
    """A script does not see what the one before it in its chain has written."""

    patches = ((Overlay, "behind", begin_anew),)


def answer_and_run(self, text, number):
    """The client of a script whose process died is answered, and the script is run again."""
    if number != self._number or self._is_over or self._first is not None:
        fail(self, text, number)
        return
    self._done([b"-ERR the script process ended: nothing was done\r\n"])
    self._done = lambda outcome: None
    self.begin_again(number)


class RunsWhatItSaidWasNotDone(Node):
    """A script of which was said that nothing was done is run all the same."""

    patches = ((ScriptExecution, "fail", answer_and_run),)


def take_nothing(self):
    """Go on as if no other had the keys."""
    self._read()


class LendsWithoutTaking(Node):
    """Keys are lent to another node's script while others write to them, and no node looks then."""

    patches = (
        (HoldExecution, "_take", take_nothing),
        (HoldExecution, "_why_not", lambda self, change: ""),
    )


SCRIPTED = SMALL | {"scripters": 4, "clients": 1, "operations": 300, "pipeline": 4}

MUTANTS = (
    Bug(WritesOnlyTheFirstKey, SCRIPTED),
    Bug(ForgetsWithinAChain, SCRIPTED),
    Bug(RunsWhatItSaidWasNotDone, SCRIPTED),
    Bug(LendsWithoutTaking, SCRIPTED),
)
