"""DYN.SYNCWAIT: waits until all hints that are kept now have been delivered.

One request to every reachable node returns how far its hints go; further ones, until all of them
say so or the time is over, whether it still keeps any of those.
"""

from typing import Final

from respdyn.cluster.questions import HintSerial, HintsUpto, Pause
from respdyn.cluster.tasks import Request, Task, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.resp.replies import integer

LOOK_MS: Final = 20                 # between two looks whether everything is delivered


def sync_wait(node: ThisNode, wait_ms: int) -> Task:
    """1 when all nodes that can be reached have delivered what they keep now; 0: not in time."""
    until_ms = node.now.now_ms + wait_ms
    here = node.identity.node_id
    nodes = [here, *sorted(
        link.peer for link in node.links.values() if link.is_up and link.is_member
    )]
    answers = yield [(one, HintSerial()) for one in nodes]
    marks = {
        one: serial for one, serial in zip(
            nodes, (answer_as(int, answer) for answer in answers), strict=True
        )
        if serial is not None
    }
    while True:
        requests: list[Request] = [(one, HintsUpto(serial)) for one, serial in marks.items()]
        answers = yield requests
        left = dict(zip(marks, (answer_as(int, answer) for answer in answers), strict=True))
        marks = {one: marks[one] for one, count in left.items() if count != 0}
        if not marks:
            return integer(1)
        left_ms = until_ms - node.now.now_ms
        if left_ms <= 0:
            return integer(0)
        yield [Pause(min(LOOK_MS, left_ms))]
