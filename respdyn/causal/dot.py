"""A dot names one event: the actor that caused it and that actor's counter.

An actor is one life of a node, 128 random bits, never used again; its counter only grows. So two
dots are equal exactly if they name the same event, whichever replica sends it. Nothing here
knows time: causality comes from dots and contexts only.

Source: SEMANTICS 1.1 and 1.2; Preguica et al., "Dotted Version Vectors" (2010), for the word.
"""

from typing import Final, NewType

Actor = NewType("Actor", bytes)
Dot = tuple[Actor, int]

# (actor, counter, floor, clock): what a coordinator mints for one write. The counter is above all
# that the actor used before; the floor is that of the key's partition (see `context.claim`), equal
# to the counter for "claim nothing but the dot"; the clock is the hybrid clock's.
Stamp = tuple[Actor, int, int, int]

ACTOR_BYTES: Final = 16

# Lives of nodes seen by this process. A cluster meets a few thousand in its time; a peer that
# sends more of them than this costs us a fresh table, not our memory.
_ACTORS_MAX: Final = 65536
_actors: dict[bytes, Actor] = {}


def intern_actor(raw: bytes) -> Actor:
    """The one object for these 16 bytes, so that equal actors are usually the same object."""
    actor = _actors.get(raw)
    if actor is None:
        assert len(raw) == ACTOR_BYTES
        if len(_actors) >= _ACTORS_MAX:
            _actors.clear()
        actor = _actors[raw] = Actor(raw)
    return actor
