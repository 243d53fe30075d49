"""Searches for places, against redis-server: the same members in the same order, to the last digit.
"""

import math
import random

import pytest

from respdyn.types import geo
from tests.commands.executor import Executor
from tests.commands.real import Connection

# Degrees to each side of a middle, so that searches take one cell, a few, and the whole world.
SCALES = (60.0, 20.0, 1.0, 0.01)


def digits(number: float) -> bytes:
    return b"%.17g" % number


@pytest.mark.parametrize("seed", range(6))
def test_searches_find_what_redis_finds(seed: int, redis: Connection) -> None:
    chance = random.Random(seed)
    ours = Executor(0)
    scale = SCALES[seed % len(SCALES)]
    middle = chance.uniform(-110, 110), chance.uniform(-50, 50)

    def anywhere() -> list[bytes]:
        return [digits(middle[0] + chance.uniform(-scale, scale)),
                digits(middle[1] + chance.uniform(-scale, scale) / 2)]

    words = [b"GEOADD", b"g"]
    for number in range((8, 150)[seed % 2]):
        words += [*anywhere(), b"m%d" % number]
    assert redis.call(*words) == ours(*words)
    for _ in range(40):
        size = scale * 111 * chance.choice((0.01, 0.1, 0.5, 1, 3, 0)) * chance.uniform(0.2, 1)
        shape = chance.choice((
            [b"BYRADIUS", digits(size), b"km"],
            [b"BYBOX", digits(size), digits(size * chance.uniform(0.1, 5)), b"km"],
        ))
        search = [
            *chance.choice(([b"FROMLONLAT", *anywhere()], [b"FROMMEMBER", b"m1"])), *shape,
            *chance.choice(([], [b"ASC"], [b"DESC"], [b"COUNT", b"3"], [b"COUNT", b"3", b"ANY"])),
        ]
        for argv in (
            [b"GEOSEARCH", b"g", *search, b"WITHDIST", b"WITHCOORD", b"WITHHASH"],
            [b"GEOSEARCHSTORE", b"d", b"g", *search, b"STOREDIST"],
            [b"ZRANGE", b"d", b"0", b"-1", b"WITHSCORES"],
            [b"GEODIST", b"g", b"m0", b"m%d" % chance.randrange(8)],
        ):
            assert ours(*argv) == redis.call(*argv), argv


def test_a_search_misses_no_place_that_is_near() -> None:
    """Against a search that measures every place, without cells."""
    chance = random.Random(5)
    ours = Executor(0)
    words = [b"GEOADD", b"g"]
    for number in range(300):
        words += [digits(chance.uniform(-170, 170)),
                  digits(chance.uniform(-65, 65)), b"%d" % number]
    ours(*words)
    places = {
        words[at + 2]: geo.place_of(float(geo.score_of(float(words[at]), float(words[at + 1]))))
        for at in range(2, len(words), 3)
    }
    for _ in range(60):
        centre = chance.uniform(-100, 100), chance.uniform(-50, 50)
        metres = 10 ** chance.uniform(4, 6.4)
        near = {name for name, place in places.items() if geo.distance(*centre, *place) <= metres}
        found = ours(b"GEOSEARCH", b"g", b"FROMLONLAT", *map(digits, centre), b"BYRADIUS",
                     digits(metres), b"m")
        assert set(found.split(b"\r\n")[2::2]) == near


def test_places_and_scores() -> None:
    assert geo.score_of(13.361389, 38.115556) == 3479099956230698
    assert geo.text_of(3479099956230698.0) == b"sqc8b49rny0"
    for score in (-1.0, math.inf, -math.inf, 1e30, 0.0, 2.0**52):
        longitude, latitude = geo.place_of(score)
        assert abs(longitude) <= 180 and abs(latitude) <= geo.LATITUDE_MAX


def test_what_a_search_would_store_is_read_first() -> None:
    ours = Executor(0)
    ours(b"GEOADD", b"g", b"13.361389", b"38.115556", b"P", b"15.087269", b"37.502669", b"C")
    search = [b"GEORADIUS", b"g", b"15", b"37", b"200", b"km"]
    assert ours(b"DYN.GEOSCORES", b"g", *search, b"STORE", b"d").split(b"\r\n")[2::2][:4] == [
        b"P", b"3479099956230698", b"C", b"3479447370796909"]
    assert ours(b"DYN.GEOSCORES", b"none", *search, b"STOREDIST", b"d") == b"*0\r\n"
