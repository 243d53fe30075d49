"""The tally, against a dumb second implementation; and deadlines in order."""

from hypothesis import assume, given
from hypothesis import strategies as st

from respdyn.cluster.quorum import Substitutes, Waiter, WriteRound
from respdyn.cluster.timeouts import NEVER, Deadlines


class News(Waiter):
    """Remembers what it was sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def fill(self, reply: bytes) -> None:
        self.texts.append("filled")

    def fail(self, text: str) -> None:
        self.texts.append(text)


@given(st.integers(1, 5), st.lists(st.booleans(), min_size=1, max_size=5))
def test_a_round_is_decided_exactly_when_its_outcome_is_certain(w: int, said: list[bool]) -> None:
    assume(w <= len(said))      # otherwise the write is refused before there is a round
    news = News()
    write_round = WriteRound(w, True, len(said), 1000)
    write_round.ops.append((news, b"+OK\r\n", b"", b"", 0))
    done_at: int | None = None
    for step, acknowledged in enumerate(said):
        if acknowledged:
            if write_round.acknowledge():
                done_at = step
        else:
            write_round.lose()
        yes, left = sum(said[: step + 1]), len(said) - step - 1
        if yes >= w:
            assert done_at is not None and not news.texts
        elif yes + left < w:
            assert done_at is None and len(news.texts) == 1 and f"W={w}" in news.texts[0]
        else:
            assert done_at is None and not news.texts


@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12))
def test_an_owner_and_those_who_keep_for_it_are_one_answer(
    w: int, said: list[tuple[int, bool]]
) -> None:
    # Owners 0 to 2; 3 and 4 both keep for 0, some of the writes each.
    news = News()
    write_round = WriteRound(w, True, 3, 1000)
    write_round.ops.append((news, b"+OK\r\n", b"", b"", 0))
    write_round.substitutes["0"] = Substitutes(["3", "4"])
    done, known = False, dict[int, bool]()
    for peer, acknowledged in said:
        if peer in known:
            continue            # each says one thing, once
        known[peer] = acknowledged
        if acknowledged:
            done |= write_round.acknowledge(str(peer))
        else:
            write_round.lose(str(peer))
        yes = [known.get(0) or (known.get(3) and known.get(4)), known.get(1), known.get(2)]
        gone = [known.get(one) is False for one in range(5)]
        lost = (gone[0] and (gone[3] or gone[4])) + gone[1] + gone[2]
        assert done == (sum(map(bool, yes)) >= w)
        assert bool(news.texts) == (not done and 3 - lost < w)


class Thing:
    def __init__(self, deadline_ms: int) -> None:
        self.deadline_ms = deadline_ms
        self.is_done = False


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from([5, 20, 100]), st.booleans())))
def test_everything_expires_once_and_on_time(plan: list[tuple[int, int, bool]]) -> None:
    deadlines: Deadlines[Thing] = Deadlines()
    things: list[Thing] = []
    now = 0
    for wait, length, is_done in plan:
        now += wait
        for thing in deadlines.expired(now):
            assert thing.deadline_ms <= now
            thing.is_done = True
        thing = Thing(now + length)
        deadlines.add(thing, length)
        thing.is_done = is_done
        things.append(thing)
        assert all(one.is_done for one in things if one.deadline_ms <= now)
        waiting = [one.deadline_ms for one in things if not one.is_done]
        assert now < deadlines.first_ms <= min(waiting, default=NEVER)
    for thing in deadlines.expired(now + 1000):
        thing.is_done = True
    assert all(one.is_done for one in things)
