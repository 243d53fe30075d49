"""Searching places: the arguments of GEOSEARCH and GEORADIUS, and what they find.

Source: Redis `geo.c` (georadiusGeneric).
"""

from typing import Final, NamedTuple

from respdyn.commands.arguments import INT64_MAX, integer_of, syntax_error, word
from respdyn.commands.declare import Argv
from respdyn.commands.sorted_sets import NOT_A_FLOAT, parse_score
from respdyn.errors import ReplyError
from respdyn.types import geo, sorted_sets
from respdyn.types.geo import Place, Shape
from respdyn.types.view import View

_UNITS: Final = {b"M": 1.0, b"KM": 1000.0, b"FT": 0.3048, b"MI": 1609.34}
_NO_MEMBER: Final = "ERR could not decode requested zset member"
_SHOWN: Final = (b"WITHDIST", b"WITHHASH", b"WITHCOORD")


class SearchOptions(NamedTuple):
    """A search: where, how many, in which order, what is shown or stored of each place."""

    shape: Shape
    most: int                   # 0: all
    is_any: bool                # the first that are found will do
    sort: bytes                 # ASC, DESC or b""
    shown: frozenset[bytes]
    stores_at: int              # where the key stands to which GEORADIUS stores; 0: none
    stores_distance: bool


def place(argv: Argv, at: int) -> tuple[float, float]:
    """Longitude and latitude, which are two words."""
    longitude = parse_score(argv[at], NOT_A_FLOAT)
    latitude = parse_score(argv[at + 1], NOT_A_FLOAT)
    if abs(longitude) > geo.LONGITUDE_MAX or abs(latitude) > geo.LATITUDE_MAX:
        raise ReplyError(f"ERR invalid longitude,latitude pair {longitude:f},{latitude:f}")
    return longitude, latitude


def unit(argument: bytes) -> float:
    """How many metres a unit has."""
    found = _UNITS.get(word(argument))
    if found is None:
        raise ReplyError("ERR unsupported unit provided. please use M, KM, FT, MI")
    return found


def _radius(argv: Argv, at: int) -> tuple[float, float]:
    """A radius, and its unit in metres."""
    radius = parse_score(argv[at], "ERR need numeric radius")
    if radius < 0:
        raise ReplyError("ERR radius cannot be negative")
    return radius, unit(argv[at + 1])


def _sides(argv: Argv, at: int) -> tuple[float, float, float]:
    """Width and height of a box, and their unit in metres."""
    width = parse_score(argv[at], "ERR need numeric width")
    height = parse_score(argv[at + 1], "ERR need numeric height")
    if height < 0 or width < 0:
        raise ReplyError("ERR height or width cannot be negative")
    return width, height, unit(argv[at + 2])


def _place_of(view: View | None, member: bytes) -> tuple[float, float]:
    """Where a member is. Of a key that is not there anything will do: nothing will be found."""
    if view is None or not view.open():
        return 0.0, 0.0
    score = sorted_sets.score(view, member)
    if score is None:
        raise ReplyError(_NO_MEMBER)
    return geo.place_of(score)


class _Reader:
    """Reads the options of a search, from left to right as Redis does."""

    def __init__(self, argv: Argv, view: View | None, *, is_search: bool, can_store: bool) -> None:
        self._argv = argv
        self._view = view
        self._is_search = is_search
        self._can_store = can_store
        self.centre: tuple[float, float] | None = None
        self._is_member = False
        self.radius: tuple[float, float] | None = None
        self.sides: tuple[float, float, float] | None = None
        self.shown: set[bytes] = set()
        self.sort = b""
        self.is_any = self.stores_distance = False
        self.count = self.stores_at = 0

    def read(self, at: int) -> None:
        """All from word `at` on."""
        while at < len(self._argv):
            option, more = word(self._argv[at]), len(self._argv) - at - 1
            if option in _SHOWN:
                self.shown.add(option)
            elif option == b"ANY":
                self.is_any = True
            elif option in (b"ASC", b"DESC"):
                self.sort = option
            elif option == b"COUNT" and more:
                at += 1
                self.count = self._count(self._argv[at])
            elif self._is_search:
                at += self._search_option(option, at, more)
            elif self._can_store and option in (b"STORE", b"STOREDIST") and more:
                at += 1
                self.stores_at, self.stores_distance = at, option == b"STOREDIST"
            else:
                raise syntax_error()
            at += 1

    @staticmethod
    def _count(argument: bytes) -> int:
        count = integer_of(argument)
        if count is None:
            raise ReplyError("ERR value is not an integer or out of range")
        if not 0 < count <= INT64_MAX:
            raise ReplyError("ERR COUNT must be > 0")
        return count

    def _search_option(self, option: bytes, at: int, more: int) -> int:
        """An option of GEOSEARCH alone; how many words follow it."""
        is_place = self.centre is not None and not self._is_member
        if option == b"FROMMEMBER" and more and not is_place:
            self.centre, self._is_member = _place_of(self._view, self._argv[at + 1]), True
            return 1
        if option == b"FROMLONLAT" and more > 1 and not self._is_member:
            self.centre = place(self._argv, at + 1)
            return 2
        if option == b"BYRADIUS" and more > 1 and self.sides is None:
            self.radius = _radius(self._argv, at + 1)
            return 2
        if option == b"BYBOX" and more > 2 and self.radius is None:
            self.sides = _sides(self._argv, at + 1)
            return 3
        if option == b"STOREDIST" and self._can_store:
            self.stores_distance = True
            return 0
        raise syntax_error()

    def options(self) -> SearchOptions:
        """The search, once all is read."""
        longitude, latitude = self.centre or (0.0, 0.0)
        if self.sides is not None:
            width, height, metres = self.sides
            shape = Shape(longitude, latitude, metres, -1.0, width, height)
        else:
            radius, metres = self.radius or (0.0, 1.0)
            shape = Shape(longitude, latitude, metres, radius, 0.0, 0.0)
        return SearchOptions(
            shape, self.count, self.is_any, self.sort, frozenset(self.shown), self.stores_at,
            self.stores_distance,
        )


def parse_search(argv: Argv, at: int, view: View | None, *, stores: bool) -> SearchOptions:
    """GEOSEARCH from word `at` on. Without a view members are not looked for."""
    reader = _Reader(argv, view, is_search=True, can_store=stores)
    reader.read(at)
    name = argv[0].decode("latin-1")
    if stores and reader.shown:
        raise ReplyError(
            "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
        )
    if reader.centre is None:
        raise ReplyError(f"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}")
    if reader.radius is None and reader.sides is None:
        raise ReplyError(f"ERR exactly one of BYRADIUS and BYBOX can be specified for {name}")
    return _checked(reader)


def parse_radius(
    argv: Argv, view: View | None, *, by_member: bool, can_store: bool
) -> SearchOptions:
    """GEORADIUS, or GEORADIUSBYMEMBER. Without a view members are not looked for."""
    reader = _Reader(argv, view, is_search=False, can_store=can_store)
    if by_member:
        reader.centre = _place_of(view, argv[2])
        if view is None or view.open():
            reader.radius = _radius(argv, 3)
        reader.read(5)
    else:
        reader.centre, reader.radius = place(argv, 2), _radius(argv, 4)
        reader.read(6)
    if reader.stores_at and reader.shown:
        raise ReplyError("ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH"
                         " and WITHCOORD options")
    return _checked(reader)


def _checked(reader: _Reader) -> SearchOptions:
    if reader.is_any and not reader.count:
        raise ReplyError("ERR the ANY argument requires COUNT argument")
    return reader.options()


def found_by(options: SearchOptions, view: View) -> list[Place]:
    """The places that a search finds, in the requested order."""
    found = geo.search(
        sorted_sets.order_of(view), options.shape, options.most if options.is_any else 0
    )
    sort = options.sort
    if options.most and not sort and not options.is_any:
        sort = b"ASC"
    if sort:
        sign = -1.0 if sort == b"DESC" else 1.0
        found.sort(key=lambda one: sign * one.distance)
    return found[: options.most] if options.most else found
