"""Dotted maps of any shape, and what they mean written as plain sets of events.

The universe is small (three actors, eight counters), so that maps meet, overlap and touch often.
"""

from hypothesis import strategies as st

from respdyn.causal.context import Context
from respdyn.causal.dot import Dot, intern_actor
from respdyn.causal.dotted_map import DottedMap

ACTORS = [intern_actor(letter * 16) for letter in (b"a", b"b", b"c")]
COUNTERS = range(1, 9)
ALL_DOTS: list[Dot] = [(actor, counter) for actor in ACTORS for counter in COUNTERS]
REMARK = b"x" + ACTORS[0] + (3).to_bytes(8)
ELEMENTS = [b"s", b"s", b"s", REMARK, b"", b"hfield"]
BIRTH_TIME = b"x" + ACTORS[1] + (2).to_bytes(8)
FIELD_TIME = b"tfone" + ACTORS[0] + (3).to_bytes(8)
COLLECTED = [b"k", b"r", BIRTH_TIME, b"fone", b"fone", b"ftwo", b"f", b"mred", b"m\0", b"zeta",
             FIELD_TIME, b"s"]

Meaning = tuple[frozenset[Dot], dict[tuple[bytes, Dot], bytes]]


def context_of_dots(dots: set[Dot] | frozenset[Dot]) -> Context:
    """The context of exactly these dots, one dot at a time."""
    context = Context()
    for actor, counter in sorted(dots):
        context = context.add(actor, counter - 1, counter)
    return context


def meaning(state: DottedMap) -> Meaning:
    """The events seen, one by one, and what is alive."""
    seen = frozenset(dot for dot in ALL_DOTS if state.context.covers(dot))
    live = {
        (element, dot): payload
        for element, dotted in state.entries.items()
        for dot, payload in dotted.items()
    }
    return seen, live


def dumb_join(a: Meaning, b: Meaning) -> Meaning:
    """Section 1.4 of the semantics, word by word."""
    live = {}
    for key in {**a[1], **b[1]}:
        if key in a[1] and key in b[1]:
            live[key] = max(a[1][key], b[1][key])
        elif key in a[1] and key[1] not in b[0]:
            live[key] = a[1][key]
        elif key in b[1] and key[1] not in a[0]:
            live[key] = b[1][key]
    return a[0] | b[0], live


dot_sets = st.frozensets(st.sampled_from(ALL_DOTS), max_size=12)
contexts = st.one_of(
    dot_sets.map(context_of_dots),
    st.builds(
        lambda actor, lo, size: Context().add(actor, lo, lo + size),
        st.sampled_from(ACTORS), st.integers(0, 4), st.integers(1, 4),
    ),
)


def _payload(clock: int, expire_at: int, value: bytes) -> bytes:
    return clock.to_bytes(8) + expire_at.to_bytes(8) + value


payloads = st.builds(
    _payload, st.integers(0, 3), st.sampled_from([0, 0, 5, 9]), st.sampled_from([b"", b"v", b"w"])
)


@st.composite
def element_maps(draw: st.DrawFn) -> DottedMap:
    """A dotted map of collections: several kinds beside each other, a string perhaps among them."""
    context = draw(contexts)
    seen = [dot for dot in ALL_DOTS if context.covers(dot)]
    entries: dict[bytes, dict[Dot, bytes]] = {}
    for element in draw(st.lists(st.sampled_from(COLLECTED), max_size=6)) if seen else []:
        payload = b"" if element[:1] == b"m" else draw(payloads)
        if element[:1] in (b"f", b"z"):
            payload = payload[:8] + draw(st.sampled_from([b"v", b"r", b"c"])) + payload[9:]
        entries.setdefault(element, {})[draw(st.sampled_from(seen))] = payload
    return DottedMap(entries, context)


@st.composite
def maps(draw: st.DrawFn) -> DottedMap:
    """Any dotted map; often the usual one, a value whose dot ends the only interval."""
    context = draw(contexts)
    seen = [dot for dot in ALL_DOTS if context.covers(dot)]
    entries: dict[bytes, dict[Dot, bytes]] = {}
    if seen and draw(st.booleans()):
        entries[b"s"] = {seen[-1]: draw(payloads)}
    elif seen:
        for element in draw(st.lists(st.sampled_from(ELEMENTS), max_size=3)):
            dotted = entries.setdefault(element, {})
            dotted[draw(st.sampled_from(seen))] = draw(payloads)
    return DottedMap(entries, context)
