"""The time to live of fields: what Redis 7.4 and 8 answer, written by hand from their sources."""

import hiredis
import pytest

from tests.commands.alone import WALL_MS, Alone, Client

SECOND = (WALL_MS + 100_000) // 1000
MANDATORY = "ERR Mandatory argument FIELDS is missing or not at the right position"
COUNT = "ERR Parameter `numFields` should be greater than 0"
MATCH = "ERR The `numfields` parameter must match the number of arguments"
LATE = "ERR invalid expire time in 'hexpire' command"


def ask(client: Client, line: str) -> object:
    reader = hiredis.Reader(encoding="utf-8", replyError=lambda text: text)
    reader.feed(client.say(line))
    return reader.gets()


def run(story: list[tuple[str, object]], alone: Alone | None = None) -> Client:
    client = (alone or Alone()).connect()
    for line, expected in story:
        assert ask(client, line) == expected, line
    return client


def test_a_time_to_live_is_set_shown_and_ended() -> None:
    run([
        ("HSET h a 1 b 2 c 3", 3),
        ("HTTL h FIELDS 2 a no", [-1, -2]),
        ("HEXPIRE h 100 FIELDS 2 a no", [1, -2]),
        ("HPEXPIRE h 100500 FIELDS 1 b", [1]),
        ("HTTL h FIELDS 3 a b c", [100, 101, -1]),
        ("HPTTL h FIELDS 3 a b c", [100000, 100500, -1]),
        (f"HEXPIREAT h {SECOND} FIELDS 1 a", [1]),
        (f"HPEXPIREAT h {WALL_MS + 100_001} FIELDS 1 c", [1]),
        ("HEXPIRETIME h FIELDS 2 a b", [SECOND, (WALL_MS + 100_500 + 999) // 1000]),
        ("HPEXPIRETIME h FIELDS 3 a c no", [SECOND * 1000, WALL_MS + 100_001, -2]),
        ("HPERSIST h FIELDS 3 a no a", [1, -2, -1]),
        ("HTTL h FIELDS 1 a", [-1]),
        ("HSET h b 9", 0),
        ("HTTL h FIELDS 1 b", [-1]),
        ("HINCRBY h c 1", 4),
        ("HPTTL h FIELDS 1 c", [100_001]),
        ("HEXPIRE no 100 FIELDS 2 a b", [-2, -2]),
        ("HTTL no FIELDS 2 a b", [-2, -2]),
        ("HPERSIST no FIELDS 1 a", [-2]),
        ("TTL h", -1),
    ])


@pytest.mark.parametrize(("condition", "without", "shorter", "longer"), [
    ("NX", 1, 0, 0), ("XX", 0, 1, 1), ("GT", 0, 0, 1), ("LT", 1, 1, 0),
])
def test_conditions(condition: str, without: int, shorter: int, longer: int) -> None:
    run([
        ("HSET h a 1 b 2 c 3", 3),
        ("HEXPIRE h 100 FIELDS 2 b c", [1, 1]),
        (f"HEXPIRE h 50 {condition} FIELDS 2 a b", [without, shorter]),
        (f"HEXPIRE h 200 {condition.lower()} FIELDS 1 c", [longer]),
        ("HTTL h FIELDS 3 a b c", [50 if without else -1, 50 if shorter else 100,
                                   200 if longer else 100]),
    ])


def test_what_is_past_deletes_and_what_is_left_of_nothing_is_no_key() -> None:
    run([
        ("HSET h a 1 b 2", 2),
        ("HEXPIRE h 0 FIELDS 2 a no", [2, -2]),
        ("HGETALL h", ["b", "2"]),
        ("HPEXPIREAT h 1 FIELDS 1 b", [2]),
        ("EXISTS h", 0),
    ])


def test_a_field_that_has_expired_is_not_there() -> None:
    alone = Alone()
    client = run([
        ("HSET h a 1 b 2", 2), ("HSET g a 1", 1), ("HPEXPIRE h 500 FIELDS 1 a", [1]),
        ("HPEXPIRE g 500 FIELDS 1 a", [1]), ("HINCRBY h n 1", 1),
        ("HPEXPIRE h 500 FIELDS 1 n", [1]),
    ], alone)
    alone.wall_ms += 501
    alone.now_ms += 501
    alone.turn()
    for line, expected in [
        ("HGET h a", None), ("HLEN h", 1), ("HGETALL h", ["b", "2"]), ("HEXISTS h a", 0),
        ("HTTL h FIELDS 1 a", [-2]), ("EXISTS g", 0), ("TYPE g", "none"), ("HSETNX h a 3", 1),
        ("HTTL h FIELDS 1 a", [-1]), ("HINCRBY h n 5", 5), ("HSET g b 1", 1), ("HKEYS g", ["b"]),
    ]:
        assert ask(client, line) == expected, line


def test_what_is_refused() -> None:
    run([
        ("HEXPIRE h x FIELDS 1 a", "ERR value is not an integer or out of range"),
        ("HEXPIRE h -1 FIELDS 1 a", "ERR invalid expire time, must be >= 0"),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", LATE),
        ("HEXPIRE h 70368744177 FIELDS 1 a", LATE),
        ("HEXPIRE h 10 FELDER 1 a", MANDATORY),
        ("HEXPIRE h 10 NX 1 a b", MANDATORY),
        ("HEXPIRE h 10 FIELDS 0 a", COUNT),
        ("HEXPIRE h 10 FIELDS x a", COUNT),
        ("HEXPIRE h 10 FIELDS 2 a", MATCH),
        ("HEXPIRE h 10 FIELDS 1 a b", MATCH),
        ("HTTL h FIELDS 3 a", MATCH),
        ("SET s v", "OK"),
        ("HTTL s FIELDS 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HGETEX h EX 0 FIELDS 1 a", "ERR invalid expire time in 'hgetex' command"),
        ("HSETEX h EX 1 PX 1 FIELDS 1 a 1", "ERR syntax error"),
        ("HSETEX h FNX FXX FIELDS 1 a 1", "ERR syntax error"),
        ("HSETEX h FIELDS 1 a 1 b 2", MATCH),
        ("EXISTS h", 0),
    ])


def test_hgetdel_hgetex_and_hsetex() -> None:
    run([
        ("HSET h a 1 b 2 c 3", 3),
        ("HGETDEL h FIELDS 3 a no a", ["1", None, None]),
        ("HGETDEL no FIELDS 1 a", [None]),
        ("HGETEX h EX 100 FIELDS 2 b no", ["2", None]),
        ("HTTL h FIELDS 2 b c", [100, -1]),
        ("HGETEX h FIELDS 1 b", ["2"]),
        ("HTTL h FIELDS 1 b", [100]),
        ("HGETEX h PERSIST FIELDS 2 b c", ["2", "3"]),
        ("HTTL h FIELDS 1 b", [-1]),
        (f"HGETEX h EXAT {SECOND} FIELDS 1 c", ["3"]),
        ("HGETEX h PXAT 1 FIELDS 1 b", ["2"]),
        ("HKEYS h", ["c"]),
        ("HSETEX h FNX EX 50 FIELDS 2 c 4 d 5", 0),
        ("HSETEX h FXX EX 50 FIELDS 2 c 4 d 5", 0),
        ("HSETEX h FXX KEEPTTL FIELDS 1 c 4", 1),
        ("HEXPIRETIME h FIELDS 1 c", [SECOND]),
        ("HSETEX h FNX PX 5000 FIELDS 2 d 5 e 6", 1),
        ("HPTTL h FIELDS 2 d e", [5000, 5000]),
        ("HSETEX h FIELDS 1 c 7", 1),
        ("HTTL h FIELDS 1 c", [-1]),
        ("HGETALL h", ["c", "7", "d", "5", "e", "6"]),
        ("HGETDEL h FIELDS 3 c d e", ["7", "5", "6"]),
        ("EXISTS h", 0),
    ])


def test_events() -> None:
    alone = Alone()
    client, ear = alone.connect(), alone.connect()
    client.say("CONFIG SET notify-keyspace-events Kh")
    ear.say("SUBSCRIBE __keyspace@0__:h")

    def events_of(line: str) -> list[str]:
        client.say(line)
        alone.turn()
        reader = hiredis.Reader(encoding="utf-8")
        reader.feed(ear.session.take())
        return [push[2] for push in iter(reader.gets, False)]

    assert events_of("HSET h a 1 b 2 c 3 d 4") == ["hset"]
    assert events_of("HEXPIRE h 100 FIELDS 1 a") == ["hexpire"]
    assert events_of("HEXPIRE h 100 NX FIELDS 1 a") == []
    assert events_of("HPERSIST h FIELDS 1 a") == ["hpersist"]
    assert events_of("HPERSIST h FIELDS 1 a") == []
    assert events_of("HEXPIRE h 0 FIELDS 1 a") == ["hdel"]
    assert events_of("HGETEX h FIELDS 1 b") == []
    assert events_of("HGETEX h EX 9 FIELDS 1 b") == ["hexpire"]
    assert events_of("HGETEX h PERSIST FIELDS 1 b") == ["hpersist"]
    assert events_of("HGETDEL h FIELDS 1 b") == ["hdel"]
    assert events_of("HSETEX h PX 500 FIELDS 1 b 1") == ["hset", "hexpire"]
    alone.wall_ms += 501
    alone.now_ms += 501
    alone.turn()
    assert events_of("HLEN h") == []
    assert events_of("HSET h c 4") == ["hexpired", "hset"]
    assert events_of("HSET h c 5") == ["hset"]
