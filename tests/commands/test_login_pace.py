"""A client that tries passwords is slowed down; no other is, and none for long."""

from respdyn.sessions import login_pace
from respdyn.sessions.login_pace import FORGOTTEN_MS, FREE, WAIT_MAX_MS, LoginPace
from tests.little import Client, Little


def test_each_wrong_password_after_the_first_few_waits_twice_as_long() -> None:
    pace, now_ms, waits = LoginPace(), 0, []
    for _ in range(FREE + 12):
        now_ms += pace.wait_ms("a", now_ms)
        pace.was_wrong("a", now_ms)
        waits.append(pace.wait_ms("a", now_ms))
    assert waits[: FREE - 1] == [0] * (FREE - 1)
    assert waits[FREE - 1 : FREE + 3] == [100, 200, 400, 800]
    assert waits[-1] == WAIT_MAX_MS
    assert pace.wait_ms("b", now_ms) == 0
    pace.was_right("a")
    assert pace.wait_ms("a", now_ms) == 0


def test_a_while_of_silence_is_enough() -> None:
    pace = LoginPace()
    for _ in range(FREE):
        pace.was_wrong("a", 0)
    assert pace.wait_ms("a", 0)
    pace.was_wrong("a", FORGOTTEN_MS + 1)
    assert pace.wait_ms("a", FORGOTTEN_MS + 1) == 0


def test_the_memory_of_addresses_is_bounded(monkeypatch) -> None:       # type: ignore[no-untyped-def]
    monkeypatch.setattr(login_pace, "ADDRESSES_MAX", 3)
    pace = LoginPace()
    for address in "abcd":
        for _ in range(FREE):
            pace.was_wrong(address, 0)
    assert [pace.wait_ms(address, 0) > 0 for address in "abcd"] == [False, True, True, True]


def test_an_address_that_guesses_is_refused_unread_and_others_are_not() -> None:
    little = Little(1, requirepass="right")
    little.run(5)

    def from_address(address: str) -> Client:
        client = little.client("A")
        client.session = little["A"].open_session(f"{address}:1", "10.0.0.1:6379", "client", None)
        return client

    guesser = from_address("10.6.6.6")
    for _ in range(FREE):
        assert str(guesser("AUTH", "wrong")).startswith("WRONGPASS")
    for one in (guesser, from_address("10.6.6.6")):
        assert "try again in" in str(one("AUTH", "right"))
        assert "try again in" in str(one("HELLO", "3", "AUTH", "default", "right"))
    assert from_address("10.9.9.9")("AUTH", "right") == b"OK"
    assert little["A"].counters.logins_delayed == 4
    little.run(200)
    assert guesser("AUTH", "right") == b"OK"
