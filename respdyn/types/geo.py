"""Places on the globe as scores: 52 bits, the longitude's and the latitude's in turn.

The world is halved 26 times in each direction; a place is the cell that it lies in, and is shown at
the middle of that. Cells that begin with the same bits lie together, so a search is a few ranges of
scores, of the cell around its centre and of the eight beside it, cut to the size of the search; in
each range every place is measured.

Every step is one double operation after the other, in Redis's order: answers are its, to the last
digit. The earth is a sphere, the latitude ends at 85.05112878 degrees, as in web maps.

Source: Redis `geohash.c`, `geohash_helper.c`, `geo.c`; haversine.
"""

from math import asin, cos, pi, sin, sqrt
from typing import Final, NamedTuple

from respdyn.types.score_order import Order

LONGITUDE_MAX: Final = 180.0
LATITUDE_MAX: Final = 85.05112878
EARTH_RADIUS_M: Final = 6372797.560856
MERCATOR_MAX_M: Final = 20037726.37

_STEPS: Final = 26                      # halvings in each direction
_BITS: Final = 2 * _STEPS
_DEGREE: Final = pi / 180.0
_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
_TEXT_BYTES: Final = 11
_U64: Final = 1 << 64
_I64: Final = 1 << 63


class Place(NamedTuple):
    """A member that was found: where it is, how far from the centre in metres, its score."""

    member: bytes
    longitude: float
    latitude: float
    distance: float
    score: float


class Shape(NamedTuple):
    """What is searched: a circle around a place, or a box with two sides that follow the equator.
    Sizes are in a unit of so many metres. `radius` is that of a circle, below 0 for a box."""

    longitude: float
    latitude: float
    unit: float
    radius: float
    width: float
    height: float


class Cell(NamedTuple):
    """A cell of the world that is halved so many times: which from the south and from the west."""

    north: int
    east: int
    steps: int


# ---- places and scores ----

def score_of(longitude: float, latitude: float) -> int:
    """The score of a place."""
    return _interleaved(cell_of(longitude, latitude, _STEPS))


def place_of(score: float) -> tuple[float, float]:
    """Longitude and latitude of a score, be it any double."""
    bits = _as_bits(score)
    cell = Cell(_every_second(bits), _every_second(bits >> 1), _STEPS)
    (west, east), (south, north) = _edges(cell)
    longitude, latitude = (west + east) / 2, (south + north) / 2
    return (
        min(max(longitude, -LONGITUDE_MAX), LONGITUDE_MAX),
        min(max(latitude, -LATITUDE_MAX), LATITUDE_MAX),
    )


def text_of(score: float) -> bytes:
    """The geohash that others know a place by: eleven letters, the last one always 0."""
    longitude, latitude = place_of(score)
    bits = _interleaved(Cell(
        _share(latitude, 90.0, _STEPS), _share(longitude, LONGITUDE_MAX, _STEPS), _STEPS,
    ))
    letters = [_ALPHABET[bits >> _BITS - 5 * (at + 1) & 31] for at in range(_TEXT_BYTES - 1)]
    return bytes([*letters, _ALPHABET[0]])


def cell_of(longitude: float, latitude: float, steps: int) -> Cell:
    """The cell in which a place lies."""
    return Cell(
        _share(latitude, LATITUDE_MAX, steps), _share(longitude, LONGITUDE_MAX, steps), steps
    )


def _share(degrees: float, most: float, steps: int) -> int:
    """Which of 2**steps equal parts of what goes from -most to most."""
    return int((degrees - -most) / (most - -most) * (1 << steps))


def _edges(cell: Cell) -> tuple[tuple[float, float], tuple[float, float]]:
    """From west to east, and from south to north."""
    def between(at: int, most: float) -> tuple[float, float]:
        parts, scale = 1 << cell.steps, most - -most
        return -most + at * 1.0 / parts * scale, -most + (at + 1) * 1.0 / parts * scale
    return between(cell.east, LONGITUDE_MAX), between(cell.north, LATITUDE_MAX)


def _interleaved(cell: Cell) -> int:
    return _spread(cell.north) | _spread(cell.east) << 1


def _spread(number: int) -> int:
    """The 32 bits of a number, a zero before each."""
    number &= 0xFFFFFFFF
    number = (number | number << 16) & 0x0000FFFF0000FFFF
    number = (number | number << 8) & 0x00FF00FF00FF00FF
    number = (number | number << 4) & 0x0F0F0F0F0F0F0F0F
    number = (number | number << 2) & 0x3333333333333333
    return (number | number << 1) & 0x5555555555555555


def _every_second(bits: int) -> int:
    """The bits with even places: what `_spread` was given."""
    bits &= 0x5555555555555555
    bits = (bits | bits >> 1) & 0x3333333333333333
    bits = (bits | bits >> 2) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | bits >> 4) & 0x00FF00FF00FF00FF
    bits = (bits | bits >> 8) & 0x0000FFFF0000FFFF
    return (bits | bits >> 16) & 0x00000000FFFFFFFF


def _as_bits(score: float) -> int:
    """A double as an unsigned integer, as x86 converts it: also what is out of range."""
    if -_I64 <= score < _U64:
        return int(score) % _U64
    return _I64 if score < 0 else 0


# ---- distances ----

def distance(longitude: float, latitude: float, other_long: float, other_lat: float) -> float:
    """How far two places are from each other, in metres."""
    west = sin((other_long * _DEGREE - longitude * _DEGREE) / 2)
    here, there = latitude * _DEGREE, other_lat * _DEGREE
    if west == 0.0:
        return EARTH_RADIUS_M * abs(there - here)
    south = sin((there - here) / 2)
    share = south * south + cos(here) * cos(there) * west * west
    return 2.0 * EARTH_RADIUS_M * asin(sqrt(share))


def _measured(shape: Shape, longitude: float, latitude: float) -> float | None:
    """How far a place is from the centre; None if it lies outside."""
    if shape.radius >= 0:
        far = distance(shape.longitude, shape.latitude, longitude, latitude)
        return None if far > shape.radius * shape.unit else far
    along = distance(longitude, latitude, longitude, shape.latitude)
    if along > shape.height * shape.unit / 2:
        return None
    across = distance(longitude, latitude, shape.longitude, latitude)
    if across > shape.width * shape.unit / 2:
        return None
    return distance(shape.longitude, shape.latitude, longitude, latitude)


# ---- searching ----

def search(order: Order, shape: Shape, limit: int) -> list[Place]:
    """The members within a shape, cell by cell; no more than `limit`, unless that is 0."""
    found: list[Place] = []
    cells = cells_around(shape)
    last = 0
    for at, cell in enumerate(cells):
        if cell is None or (last and cell == cells[last]):
            continue                        # beside a great circle two cells may be one
        if found and limit and len(found) >= limit:
            break
        shift = _BITS - 2 * cell.steps
        low = _interleaved(cell) << shift
        high = low + (1 << shift)
        for score, member in order.each(order.below(float(low), False)):
            if score >= high:
                break
            longitude, latitude = place_of(score)
            far = _measured(shape, longitude, latitude)
            if far is not None:
                found.append(Place(member, longitude, latitude, far, score))
                if limit and len(found) >= limit:
                    break
        last = at
    return found


def cells_around(shape: Shape) -> list[Cell | None]:
    """The cell of the centre and those around it, in the order in which they are searched; None
    for one that the search does not reach."""
    longitude, latitude = shape.longitude, shape.latitude
    west, south, east, north = box = _box_around(shape)
    if shape.radius >= 0:
        reach = shape.radius
    else:
        across, along = shape.width / 2, shape.height / 2
        reach = sqrt(across * across + along * along)
    reach *= shape.unit
    steps = _steps_for(reach, latitude)
    cell = cell_of(longitude, latitude, steps)
    if steps > 1 and _is_too_fine(cell, box):
        steps -= 1
        cell = cell_of(longitude, latitude, steps)
    cells: list[Cell | None] = []
    (cell_west, cell_east), (cell_south, cell_north) = _edges(cell)
    for up, right in _AROUND:
        is_needed = steps < 2 or not (
            (up < 0 and cell_south < south) or (up > 0 and cell_north > north)
            or (right < 0 and cell_west < west) or (right > 0 and cell_east > east)
        )
        cells.append(_beside(cell, up, right) if is_needed else None)
    return cells


# The cell itself; north, south, east, west; the corners.
_AROUND: Final = (
    (0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1),
)


def _beside(cell: Cell, up: int, right: int) -> Cell:
    """A neighbour; beyond the edges of the map it is on the other side. Only the very last degree
    has a cell that begins there."""
    parts = 1 << cell.steps
    north = (cell.north + up) % parts if up else cell.north
    return Cell(north, (cell.east + right) % parts if right else cell.east, cell.steps)


def _box_around(shape: Shape) -> tuple[float, float, float, float]:
    """From west, south to east, north: a box in degrees that holds the shape."""
    height = shape.unit * (shape.radius if shape.radius >= 0 else shape.height / 2)
    width = shape.unit * (shape.radius if shape.radius >= 0 else shape.width / 2)
    up = height / EARTH_RADIUS_M / _DEGREE
    edge = shape.latitude - up if shape.latitude < 0 else shape.latitude + up
    right = width / EARTH_RADIUS_M / cos(edge * _DEGREE) / _DEGREE
    return (
        shape.longitude - right, shape.latitude - up, shape.longitude + right, shape.latitude + up
    )


def _steps_for(reach: float, latitude: float) -> int:
    """How often the world is halved so that nine cells hold a circle of so many metres."""
    if reach == 0:
        return _STEPS
    steps = 1
    while reach < MERCATOR_MAX_M:
        reach *= 2
        steps += 1
    steps -= 2
    if latitude > 66 or latitude < -66:     # cells are narrow near the poles
        steps -= 2 if latitude > 80 or latitude < -80 else 1
    return min(max(steps, 1), _STEPS)


def _is_too_fine(cell: Cell, box: tuple[float, float, float, float]) -> bool:
    """Whether the search reaches beyond the cells beside this one."""
    west, south, east, north = box
    return (
        _edges(_beside(cell, 1, 0))[1][1] < north or _edges(_beside(cell, -1, 0))[1][0] > south
        or _edges(_beside(cell, 0, 1))[0][1] < east or _edges(_beside(cell, 0, -1))[0][0] > west
    )
