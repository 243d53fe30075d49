"""Whether a write may begin here: copies enough for W, a disk that stores, a dot to mint.

Checked in this order before anything is done, by all code that begins a write: `dispatch`, the fast
paths of this node's clients and of what peers forward, and groups. The texts of the refusals are
here too.

Source: SEMANTICS 2; decision 0042.
"""

from typing import Final

from respdyn.cluster.plan import Plan
from respdyn.cluster.this_node import ThisNode

CANNOT_STORE: Final = (
    "MISCONF this node cannot store: {}. Writes are refused here until the cause is gone or "
    "another node can take them; reads go on"
)
NO_LEASE: Final = (
    "MISCONF the lease of this node's counter is not stored yet: nothing was done; try again"
)
NO_OWNER: Final = "NOQUORUM reachable=0: no owner of this key can be reached"
NOTHING_DONE: Final = ": nothing was done"
_TOO_FEW: Final = "NOQUORUM {}={} reachable={}" + NOTHING_DONE
_HALF_DONE: Final = b"-PARTIAL a part was done, the rest was not: "


def half_done(reply: bytes) -> bytes:
    """An error of a later step of a command, whose earlier ones have written: it says so.

    What leaves the outcome open stays as it is.
    """
    if reply[:1] != b"-" or reply.startswith(b"-PARTIAL") or b"unknown" in reply:
        return reply
    return _HALF_DONE + reply[1:].replace(NOTHING_DONE.encode(), b"")


def too_few(letter: str, wanted: int, reachable: int) -> str:
    """The refusal of what would not find the answers that R or W demands."""
    return _TOO_FEW.format(letter, wanted, reachable)


def why_not_write(node: ThisNode, plan: Plan, w: int, is_sloppy: bool, dots: int = 1) -> str:
    """Why a write that may need so many dots cannot begin here; "" if it can."""
    copies = (plan.replicas if is_sloppy else plan.strict).copies
    needed = plan.writes_needed(w)
    if copies < needed:
        return too_few("W", needed, copies)
    if node.store_failure:
        return CANNOT_STORE.format(node.store_failure)
    if not node.identity.can_mint(dots):
        return NO_LEASE
    return ""
