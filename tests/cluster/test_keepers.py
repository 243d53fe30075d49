"""Nodes that keep hints: they hand them over as soon as they can, and are asked until they have."""

from tests.cluster.test_hints import Five, locator_of

SIDES = ("AB", "DE")


class Sides(Five):
    """Five nodes; A and B do not reach D and E, C reaches all. Nothing is mended by itself."""

    def __init__(self, **changes: object) -> None:
        super().__init__(exchange_interval_ms=0, **changes)
        for machine in self.machines:       # nothing is offered because a timer says so
            machine.node.handoff._timer_ms = 1 << 40

    def part(self) -> None:
        for one in SIDES[0]:
            for two in SIDES[1]:
                self.cut(one, two)
        self.run(30)

    def key(self, *owners: str) -> str:
        """A key with these owners, in this order."""
        return next(
            name for name in (f"key{number}" for number in range(100_000))
            if self.owners(name) == list(owners)
        )


def test_a_hint_for_an_owner_that_its_keeper_reaches_is_delivered_at_once() -> None:
    sides = Sides()
    sides.part()
    a = sides.client("A")
    keys = [key for key in (f"k{number}" for number in range(400)) if sides.owners(key)[0] in "AB"]
    for key in keys:
        assert a("SET", key, "new") == b"OK"
    sides.run(50)
    kept = sides["C"].hints.count_by_owner()
    assert not kept, kept
    assert sides["C"].counters.hints_delivered > 20
    given = [key for key in keys if "D" in sides.owners(key)]
    held = [key for key in given if b"new" in sides["D"].replica.get(locator_of(key))]
    assert len(held) > len(given) // 3, "what C kept for it; B keeps the others"


def test_an_owner_that_does_not_take_its_hints_is_not_asked_every_turn() -> None:
    sides = Sides()
    sides.part()
    asked = []
    for name in "DE":
        handoff = sides[name].handoff
        handoff.answer = lambda ask: asked.append(1) or 2    # type: ignore[method-assign, func-returns-value]
    a = sides.client("A")
    key = sides.key("A", "D", "E")
    for number in range(200):
        assert a("SET", key, f"{number}") == b"OK"
        sides.run(1)
    assert 1 <= len(asked) <= 4, len(asked)
    for name in "DE":
        del sides[name].handoff.answer
    sides.run(1100)
    assert sides["C"].hints.count == 0
    copies = [sides[name].replica.get(locator_of(key)) for name in "ADE"]
    assert b"199" in copies[1] or b"199" in copies[2]
