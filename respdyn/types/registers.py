"""What a write does to an element that is a value and a counter in one: a field, a score.

What the cells of such an element say is in `fields`. A value takes the place of all that is
seen, and says how much it has seen of the increments of others. An increment adds to its actor's
own run. A removal covers what it has seen; only if others have incremented does it leave a cell.

Source: decision 0036; SEMANTICS 6.
"""

from respdyn.causal import big, codec
from respdyn.types import fields
from respdyn.types.fields import Sums
from respdyn.types.keyed import clock_above
from respdyn.types.view import Draft, View


def write(draft: Draft, element: bytes, held: bytes) -> None:
    """A value in place of all that the element has."""
    draft.begin()
    cells = draft.cells(element)
    clock = clock_above(draft.stamp, draft.highest(cells))
    baselines = fields.foreign(fields.seen_in(cells), draft.actor, draft.floor)
    draft.put(element, fields.value_payload(clock, held, baselines))


def move(draft: Draft, element: bytes, amount: int, one: int) -> None:
    """An increment by so many units; of 0, `one` of them both ways: so the run is alive."""
    draft.begin()
    cells = draft.cells(element)
    clock = clock_above(draft.stamp, draft.highest(cells))
    dot, run, added, taken = fields.own_run(cells, draft.actor, draft.floor)
    if dot:
        draft.drop_dot(element, dot)
    if amount >= 0:
        added += amount or one
    if amount <= 0:
        taken -= amount or -one
    draft.add(element, fields.run_payload(clock, run or draft.next_dot(), added, taken))


def erase(draft: Draft, element: bytes) -> None:
    """The element's end, as far as it has been seen."""
    draft.begin()
    cells = draft.cells(element)
    baselines = fields.foreign(fields.seen_in(cells), draft.actor, draft.floor)
    clock = clock_above(draft.stamp, draft.highest(cells))
    draft.drop(element)
    if baselines:
        draft.add(element, fields.reset_payload(clock, baselines))


def values_of(view: View) -> list[bytes]:
    """The values that stand side by side in the element that has most of them, the winner first;
    where none has two, one version, b""."""
    found: list[bytes] = [b""]
    for element in view.elements():
        values = fields.values_in(view.cells(element))
        if len(values) > len(found):
            found = values
    return found


def is_contested(made: View, view: View) -> bool:
    """Whether other values stand beside one that a delta has written."""
    return any(
        fields.values_in(made.cells(element)) and len(fields.values_in(view.cells(element))) > 1
        for element in made.elements()
    )


def key_sums(view: View) -> Sums:
    """The baselines that resets of the whole key have left."""
    sums: Sums = {}
    for _, payload in view.cells(fields.KEY_BASELINES):
        sums = fields.joined(sums, fields.key_sums(payload))
    return sums


def begins_alive(view: View) -> bool:
    """Whether the first element of a record is of the view's kind, and alive: a look at that one.
    """
    if not view.open() or not view.record[1] & codec.ELEMENTS:
        return False
    element, _ = big.first_of(view.record)
    if element[:1] != view.kind.letter:
        return False
    winner, _, _, going = fields.added_up(view.cells(element), key_sums(view))
    return bool(winner or going)
