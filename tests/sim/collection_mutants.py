"""Deliberate bugs of sets, hashes, lists, counters: what a type or the join does is done wrongly.

The rules are functions and not parts of a node, so each bug is a node that says which functions are
put in the place of the right ones while it runs (`patches`).
"""

from respdyn.causal import codec, element_map, splice
from respdyn.node import Node
from respdyn.types import hashes, lists, sets, stream_groups, view
from tests.sim.bugs import EXCHANGING, SMALL, Bug

_drop = view.Draft.drop
_mint = view.Draft._mint
_meet = element_map.meet


class Planted(Node):
    """A node that runs with other functions: (module or class, name, function)."""

    patches = ()


def drop_unseen(draft, element):
    """A removal that covers the next dots of whom it covers one as well."""
    _drop(draft, element)
    draft._gone += [
        dot[:16] + (int.from_bytes(dot[16:]) + ahead).to_bytes(8)
        for dot in draft._gone[-1:] for ahead in range(1, 9)
    ]


class RemovesMembersUnseen(Planted):
    """SREM covers what it has not seen."""

    patches = ((view.Draft, "drop", drop_unseen),)


def mint_once(draft):
    """The dot of the first element, again."""
    _mint(draft)
    return draft.actor + draft.stamp[1].to_bytes(8)


class SharesADot(Planted):
    """All elements of a command have one dot, so who removes one removes all."""

    patches = ((view.Draft, "_mint", mint_once),)


def remove_without_baselines(draft, element):
    """The cells go; how far others had counted is not kept."""
    hashes._drop_remarks(draft, element, draft.cells(element))
    draft.drop(element)


class ForgetsOthersIncrements(Planted):
    """HDEL of a counter lets increments of others that it has covered come back."""

    patches = ((hashes, "_remove", remove_without_baselines),)


def add_if_absent(draft, member):
    """SADD without a new dot for a member that is there."""
    is_new = not draft.cells(sets.LETTER + member)
    if is_new:
        draft.put(sets.LETTER + member, b"")
    return is_new


class AddsOnlyIfAbsent(Planted):
    """SADD of a member that is there does nothing, so a SREM that did not see it removes it."""

    patches = ((sets, "add", add_if_absent),)


def splice_but_concurrent(ours, their_rows, theirs):
    """Their cells of elements that are here are left out."""
    here = {element for element, _, _ in codec.entries_of(ours)}
    return splice.splice(ours, their_rows, [one for one in theirs if one[0] not in here])


class DropsWhatIsConcurrent(Planted):
    """A join drops what stands beside an element that is there."""

    patches = ((codec, "splice", splice_but_concurrent),)


class KeepsWhatWasRemoved(Planted):
    """A join keeps what either has, whatever the other has seen removed."""

    patches = (
        (splice, "_both", lambda ours, theirs: set()),
        (element_map, "meet", lambda ours, rows, theirs, others: _meet(ours, b"", theirs, b"")),
    )


class GroupsKnowTheirLastIdAlone(Planted):
    """A group is never given an entry that came late with a lower id."""

    patches = ((stream_groups, "_late", lambda view, order, name, group: set()),)


def drop_no_items(draft, element):
    """Items stay where they are."""
    if element[:1] != lists.LETTER:
        _drop(draft, element)


class GivesWhatStays(Planted):
    """A pop gives an item and leaves it there."""

    patches = ((view.Draft, "drop", drop_no_items),)


def on(kind, **changes):
    """Five clients that work on two keys of a kind, and one on strings."""
    return SMALL | EXCHANGING | {
        "clients": 1, "collectors": 5, "operations": 150,
        "collections": ((f"{kind}:0", kind), (f"{kind}:1", kind)), **changes,
    }


CUT = ("cut", "isolate")
MUTANTS = (
    Bug(RemovesMembersUnseen, on("members", faults=CUT)),
    Bug(SharesADot, on("members")),
    Bug(ForgetsOthersIncrements, on("tally", faults=CUT, operations=600)),
    Bug(AddsOnlyIfAbsent, on("members", faults=CUT)),
    Bug(DropsWhatIsConcurrent, on("fields", faults=CUT)),
    Bug(KeepsWhatWasRemoved, on("members")),
    Bug(GroupsKnowTheirLastIdAlone, on("stream", faults=CUT, sloppy=True, r=1, w=1)),
    Bug(GivesWhatStays, on("queue")),
)
