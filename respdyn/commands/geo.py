"""The geo commands: sorted sets whose scores are places.

GEORADIUS with STORE and GEOSEARCHSTORE read at the source's coordinator, then write at the
destination's, as other commands on several sorted sets do.

Source: Redis `geo.c`; where a place's score comes from, and how it is searched: `types/geo.py`.
"""

from typing import Final

from respdyn.commands.arguments import syntax_error, word
from respdyn.commands.declare import (
    GATHER,
    READ,
    WRITE,
    Argv,
    Command,
    Parts,
    Then,
)
from respdyn.commands.elements import SORTED_SET, Look, changing, looking, view_of
from respdyn.commands.folding import leaves_of
from respdyn.commands.geo_search import (
    SearchOptions,
    found_by,
    parse_radius,
    parse_search,
    place,
    unit,
)
from respdyn.commands.score_ranges import flat_of, store
from respdyn.commands.sorted_sets import add
from respdyn.resp.replies import array, bulk, bulks, integer, null, null_array
from respdyn.types import geo, sorted_sets
from respdyn.types.geo import Place
from respdyn.types.view import Draft, View

_OPTIONS: Final = frozenset((b"NX", b"XX", b"CH"))


def _adding(argv: Argv) -> tuple[frozenset[bytes], int]:
    """The options of GEOADD, and where the places begin."""
    at = 2
    while at < len(argv) and word(argv[at]) in _OPTIONS:
        at += 1
    return frozenset(map(word, argv[2:at])), at


def geoadd(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    given, at = _adding(argv)
    if (len(argv) - at) % 3 or {b"NX", b"XX"} <= given:
        raise syntax_error()
    scored = []
    for first in range(at, len(argv), 3):
        scored += [b"%d" % geo.score_of(*place(argv, first)), argv[first + 2]]
    return add([*argv[:at], *scored], at, given, draft, resp3)


def geoadd_observes(argv: Argv) -> bool:
    """Whether GEOADD must know what is there."""
    return not _adding(argv)[0].isdisjoint((b"NX", b"XX"))


def geodist(argv: Argv, view: View, resp3: bool) -> bytes:
    metres = unit(argv[4]) if len(argv) == 5 else 1.0
    if len(argv) > 5:
        raise syntax_error()
    view.open()
    one, other = sorted_sets.score(view, argv[2]), sorted_sets.score(view, argv[3])
    if one is None or other is None:
        return null(resp3)
    far = geo.distance(*geo.place_of(one), *geo.place_of(other))
    return bulk(_printed(far / metres))


def geohash(argv: Argv, view: View, resp3: bool) -> bytes:
    view.open()
    found = [sorted_sets.score(view, member) for member in argv[2:]]
    return array([null(resp3) if one is None else bulk(geo.text_of(one)) for one in found])


def geopos(argv: Argv, view: View, resp3: bool) -> bytes:
    view.open()
    found = [sorted_sets.score(view, member) for member in argv[2:]]
    return array([
        null_array(resp3) if one is None else _coordinates(*geo.place_of(one), resp3)
        for one in found
    ])


def _coordinates(longitude: float, latitude: float, resp3: bool) -> bytes:
    shown = [(b"%.17f" % one).rstrip(b"0").rstrip(b".") for one in (longitude, latitude)]
    shown = [b"0" if one == b"-0" else one for one in shown]
    return array([b",%b\r\n" % one for one in shown]) if resp3 else bulks(shown)


def _printed(distance: float) -> bytes:
    return b"%.4f" % distance


def _shown(found: list[Place], options: SearchOptions, resp3: bool) -> bytes:
    """What a search answers."""
    if not options.shown:
        return bulks([one.member for one in found])
    items = []
    for one in found:
        parts = [bulk(one.member)]
        if b"WITHDIST" in options.shown:
            parts.append(bulk(_printed(one.distance / options.shape.unit)))
        if b"WITHHASH" in options.shown:
            parts.append(integer(int(one.score)))
        if b"WITHCOORD" in options.shown:
            parts.append(_coordinates(one.longitude, one.latitude, resp3))
        items.append(array(parts))
    return array(items)


def geosearch(argv: Argv, view: View, resp3: bool) -> bytes:
    view.open()
    options = parse_search(argv, 2, view, stores=False)
    return _shown(found_by(options, view), options, resp3)


def _radius(*, by_member: bool) -> Look:
    def look(argv: Argv, view: View, resp3: bool) -> bytes:
        view.open()
        options = parse_radius(argv, view, by_member=by_member, can_store=False)
        return _shown(found_by(options, view), options, resp3)
    return look


def search_scores(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    """What GEOSEARCHSTORE or GEORADIUS would store: members, and places or distances."""
    view = view_of(SORTED_SET, rec, now_ms)
    view.open()
    words = argv[2:]
    name = word(words[0])
    if name == b"GEOSEARCHSTORE":
        options = parse_search(words, 3, view, stores=True)
    else:
        options = parse_radius(words, view, by_member=name == b"GEORADIUSBYMEMBER", can_store=True)
    return flat_of([
        (one.distance / options.shape.unit if options.stores_distance else one.score, one.member)
        for one in found_by(options, view)
    ])


def searchstore_parts(argv: Argv) -> list[Argv]:
    return [[b"DYN.GEOSCORES", argv[2], *argv]]


def searchstore_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    return store(argv[1], b"GEOSEARCHSTORE", leaves_of(replies[0]))


def radius_stores(argv: Argv) -> list[int]:
    """Where the key stands to which GEORADIUS or GEORADIUSBYMEMBER stores, if anywhere."""
    at = _store_at(argv)
    return [at] if at else []


def _store_at(argv: Argv) -> int:
    """The last STORE or STOREDIST counts."""
    found, at = 0, 5 if argv[0].upper() == b"GEORADIUSBYMEMBER" else 6
    while at < len(argv):
        option = word(argv[at])
        if option in (b"STORE", b"STOREDIST") and at + 1 < len(argv):
            found = at + 1
        at += 2 if option in (b"STORE", b"STOREDIST", b"COUNT") else 1
    return found


def _radius_parts(read: bytes) -> Parts:
    def parts(argv: Argv) -> list[Argv]:
        if _store_at(argv):
            return [[b"DYN.GEOSCORES", argv[1], *argv]]
        return [[read, *argv[1:]]]
    return parts


def radius_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    at = _store_at(argv)
    if not at:
        return replies[0]
    return store(argv[at], b"GEORADIUSSTORE", leaves_of(replies[0]))

_SEARCHED: Final = "O(N+log(M)) with N the members around the shape and M those of the key"
_EACH: Final = "O(N*log(M)) with N the places that are named and M the members of the key"
_SHOWS: Final = "[WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]"
_UNIT: Final = "<M | KM | FT | MI>"
_FROM: Final = (
    f"<FROMMEMBER member | FROMLONLAT longitude latitude> "
    f"<BYRADIUS radius {_UNIT} | BYBOX width height {_UNIT}>"
)


def _reading(
    name: str, syntax: str, summary: str, since: str, look: Look, complexity: str
) -> Command:
    return Command(
        name, f"{name.upper()} key {syntax}", summary,
        since=since, group="geo", flags="readonly", access="RO access", complexity=complexity,
        promise="last-writer", route=READ, read=looking(SORTED_SET, look),
    )


def _storing(name: str, syntax: str, summary: str, keywords: int) -> Command:
    return Command(
        name,
        f"{name.upper()} key {syntax} radius {_UNIT} {_SHOWS} [STORE key] [STOREDIST key]",
        summary,
        since="3.2.0", group="geo", flags="write denyoom movablekeys", access="RO access",
        complexity=_SEARCHED, promise="last-writer", route=GATHER,
        parts=_radius_parts(name.upper().encode() + b"_RO"), then=radius_then,
        stores=radius_stores, is_alone=lambda argv: bool(_store_at(argv)),
        keywords=(("STORE", keywords, "OW update"), ("STOREDIST", keywords, "OW update")),
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        "geoadd",
        "GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        "Stores the places of members and returns how many members are new.",
        since="3.2.0", group="geo", flags="write denyoom", access="RW update",
        complexity=_EACH, promise="last-writer", route=WRITE, write=changing(SORTED_SET, geoadd),
        reads_before_write=geoadd_observes, event="z zadd", reports_siblings=True,
    ),
    _reading("geodist", f"member1 member2 [{_UNIT[1:-1]}]",
             "Returns how far two members are from each other.", "3.2.0", geodist, "O(1)"),
    _reading("geohash", "[member [member ...]]", "Gives the geohashes of members.", "3.2.0",
             geohash, "O(N) with N the number of members that are named"),
    _reading("geopos", "[member [member ...]]", "Gives the places of members.", "3.2.0", geopos,
             "O(N) with N the number of members that are named"),
    _reading("geosearch", f"{_FROM} [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST]"
             " [WITHHASH]", "Gives the members within a circle or a box.", "6.2.0", geosearch,
             _SEARCHED),
    _reading("georadius_ro", f"longitude latitude radius {_UNIT} {_SHOWS}",
             "Gives the members within a circle around a place.", "3.2.10",
             _radius(by_member=False), _SEARCHED),
    _reading("georadiusbymember_ro", f"member radius {_UNIT} {_SHOWS}",
             "Gives the members within a circle around a member.", "3.2.10",
             _radius(by_member=True), _SEARCHED),
    _storing("georadius", "longitude latitude",
             "Gives the members within a circle around a place, or stores them.", 6),
    _storing("georadiusbymember", "member",
             "Gives the members within a circle around a member, or stores them.", 5),
    Command(
        "geosearchstore",
        f"GEOSEARCHSTORE destination source {_FROM} [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        "Stores the members within a circle or a box in place of what the key holds.",
        since="6.2.0", group="geo", flags="write denyoom", access="OW update; RO access",
        complexity=_SEARCHED, promise="last-writer", route=GATHER, parts=searchstore_parts,
        then=searchstore_then,
    ),
    Command(
        "dyn.geoscores", "DYN.GEOSCORES key command argument [argument ...]",
        "Gives the members that a search finds, and the scores that it would store.",
        since="0.1.0", group="geo", flags="readonly", access="RO access", complexity=_SEARCHED,
        promise="last-writer", route=READ, read=search_scores,
    ),
)
