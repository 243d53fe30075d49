"""Who is down, up, or deprioritized: from drawn histories, and in a little cluster."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.cluster.failure import DEPRIORITIZED_MOST, FailureDetector
from respdyn.cluster.link import Flight, Link
from respdyn.cluster.suspicion import Answers, Delays
from tests.little import Diary, Little

TIMEOUT_MS, BEAT_MS = 1500, 1000


class Watch:
    """A detector and its peers, and a time by hand. Peers answer after `delays`, or never."""

    def __init__(self, peers: int = 1) -> None:
        self.diary = Diary()
        self.changes: list[tuple[int, str, bool]] = []
        self.replans = 0
        self.silent: list[tuple[int, str]] = []
        self.now_ms = 1000
        self.links = [Link(f"peer{i}") for i in range(peers)]
        self.delays: list[int | None] = [1] * peers
        self.detector = FailureDetector(
            BEAT_MS, TIMEOUT_MS, self.diary, self._changed, self._spared, self._fell_silent
        )
        for link in self.links:
            link.is_connected = True

    def _changed(self, link: Link) -> None:
        self.changes.append((self.now_ms, link.peer, link.is_up))
        if not link.is_up:
            link.unapplied.clear()

    def _spared(self) -> None:
        self.replans += 1

    def _fell_silent(self, peer: str) -> None:
        self.silent.append((self.now_ms, peer))

    def sleep(self, ms: int) -> None:
        self.now_ms += ms

    def run(self, ms: int, step_ms: int = 10, traffic_ms: int = 0) -> None:
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms += step_ms
            self.detector.look(self.links, self.now_ms)
            for link, delay in zip(self.links, self.delays, strict=True):
                if link.wants_beat or (traffic_ms and self.now_ms % traffic_ms == 0):
                    link.wants_beat = False
                    link.number += 1
                    link.unapplied.append(Flight(link.number, self.now_ms, [], [], [], []))
                if delay is not None:
                    self.answer(link, self.now_ms - delay)

    def answer(self, link: Link, upto_ms: int) -> None:
        """All that was sent until then is acknowledged at once, as a cumulative answer is."""
        sent = [one.sent_ms for one in link.unapplied if one.sent_ms <= upto_ms]
        if sent:
            for _ in sent:
                link.unapplied.popleft()
            self.detector.receive(link, sent[-1], sent[0], self.now_ms)


# ---- suspicion ----


@given(st.lists(st.integers(0, 2000), min_size=8, max_size=300), st.integers(0, 5000))
def test_suspicion_grows_with_silence_and_is_less_where_answers_were_slower(
    history: list[int], silence_ms: int,
) -> None:
    one, slower = Delays(150), Delays(150)
    for delay in history:
        one.note(delay)
        slower.note(2 * delay)
    phi = one.phi(silence_ms)
    assert 0 <= phi <= one.phi(silence_ms + 50) <= 40
    if silence_ms > 2 * max(history):
        assert slower.phi(silence_ms) <= phi + 1e-9


@given(st.lists(st.integers(0, 2000), max_size=7))
def test_who_is_hardly_known_is_not_suspected(history: list[int]) -> None:
    delays = Delays(150)
    for delay in history:
        delays.note(delay)
    assert delays.phi(10_000) == 0.0


def test_sickness_has_two_thresholds() -> None:
    answers = Answers()
    for _ in range(4):
        answers.bad()
    assert not answers.judge()              # too few to say
    answers.bad()
    assert answers.judge()
    for _ in range(45):                     # 90 %: neither here nor there
        answers.good()
    assert answers.judge()
    for _ in range(60):
        answers.good()
    assert not answers.judge()


# ---- down and up ----


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from((0, 10, 50)))
@settings(max_examples=25, deadline=None)
def test_a_silent_peer_is_down_within_the_timeout_and_a_quick_one_never(
    seed: int, delay_ms: int, traffic_ms: int
) -> None:
    dice = random.Random(seed)
    watch = Watch(2)
    for _ in range(dice.randrange(5, 30)):
        watch.delays[0] = dice.randrange(delay_ms)
        watch.run(500, 10, traffic_ms)
    assert [is_up for _, _, is_up in watch.changes] == [True, True]
    watch.delays[0] = None
    fell_silent_ms = watch.now_ms
    watch.run(BEAT_MS + TIMEOUT_MS + 500, 10, traffic_ms)
    down_ms, peer, is_up = watch.changes[-1]
    assert (peer, is_up, len(watch.changes)) == ("peer0", False, 3)
    bound_ms = TIMEOUT_MS + (0 if traffic_ms else BEAT_MS) + TIMEOUT_MS // 10 + 20
    assert down_ms - fell_silent_ms <= bound_ms
    # A link that was quick is given up before the time-out, but not for a pause of two thirds of it
    # (counted from the oldest frame that has no answer).
    assert down_ms - fell_silent_ms >= TIMEOUT_MS * 2 // 3 - delay_ms - traffic_ms
    if traffic_ms:      # and long before that it is not the one that coordinates
        assert down_ms - fell_silent_ms <= TIMEOUT_MS * 3 // 4
        silent_ms = watch.silent[-1][0] - fell_silent_ms
        assert TIMEOUT_MS // 10 <= silent_ms <= TIMEOUT_MS // 4


def test_a_link_that_is_known_to_be_slow_is_given_more_time() -> None:
    times = []
    for slow in (False, True):
        watch = Watch()
        dice = random.Random(3)
        for _ in range(60):
            watch.delays[0] = dice.randrange(700) if slow else 1
            watch.run(500, 10, 50)
        watch.delays[0] = None
        watch.links[0].unacknowledged_ms = TIMEOUT_MS
        start_ms = watch.now_ms
        watch.run(3000, 10, 50)
        times.append(watch.changes[-1][0] - start_ms)
    assert times[0] + 100 < times[1] <= TIMEOUT_MS + 200


def test_up_needs_a_round_trip_of_now() -> None:
    watch = Watch()
    watch.delays[0] = None
    watch.run(10)
    link = watch.links[0]
    assert link.unapplied and not link.is_up
    watch.sleep(TIMEOUT_MS + 100)
    watch.answer(link, watch.now_ms)            # an answer to a frame of long ago proves nothing
    assert not link.is_up
    watch.run(1100)
    watch.answer(link, watch.now_ms)
    assert link.is_up


@given(st.integers(1600, 60_000), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_who_has_slept_accuses_no_peer(sleep_ms: int, times: int) -> None:
    watch = Watch(3)
    watch.run(3000)
    for _ in range(times):
        watch.run(50, 10, 10)
        for link in watch.links:
            watch.delays[watch.links.index(link)] = None
        watch.run(20, 10, 10)                    # frames are under way
        watch.sleep(sleep_ms)
        watch.detector.look(watch.links, watch.now_ms)      # time first, then what has arrived
        watch.delays[:] = [1, 1, 1]
        watch.run(1500, 10, 10)
    assert [is_up for _, _, is_up in watch.changes] == [True] * 3
    assert not any(link.deprioritized for link in watch.links)
    watch.delays[1] = None                      # and it still notices who is gone
    watch.run(2 * TIMEOUT_MS, 10, 10)
    assert watch.changes[-1][1:] == ("peer1", False)


def test_a_node_that_stalls_all_the_time_still_notices_in_the_end() -> None:
    watch = Watch()
    watch.run(3000)
    watch.delays[0] = None
    start_ms = watch.now_ms
    watch.run(20_000, 700)
    assert not watch.links[0].is_up
    assert watch.changes[-1][0] - start_ms < 8 * TIMEOUT_MS


# ---- deprioritized ----


def test_who_answers_too_late_is_spared_until_it_is_well_for_a_while() -> None:
    watch = Watch(3)
    watch.run(3000, 10, 100)
    watch.delays[1] = 600
    watch.run(12_000, 10, 100)
    assert [link.deprioritized for link in watch.links] == ["", "slow", ""]
    assert all(link.is_up for link in watch.links)
    watch.delays[1] = 1
    watch.run(3000, 10, 100)
    assert watch.links[1].deprioritized == "slow"
    watch.run(10_000, 10, 100)
    assert watch.links[1].deprioritized == ""


def test_who_answers_later_than_it_used_to_is_spared_but_not_who_was_always_far() -> None:
    watch = Watch(3)
    watch.delays[2] = 150
    watch.run(20_000, 10, 50)
    assert not any(link.deprioritized for link in watch.links)
    watch.delays[1] = 120
    watch.run(1000, 10, 50)
    assert [link.deprioritized for link in watch.links] == ["", "slow", ""]
    watch.delays[1] = 1
    watch.run(1000, 10, 50)
    assert not any(link.deprioritized for link in watch.links)
    watch.delays[1] = 120                       # what lasts becomes usual
    watch.run(60_000, 10, 50)
    assert not any(link.deprioritized for link in watch.links)


def test_a_silence_that_was_come_back_from_lately_is_no_proof() -> None:
    watch = Watch(3)
    watch.run(10_000, 10, 50)
    for _ in range(4):                          # packets are lost, once or twice each
        watch.delays[1] = None
        watch.run(400, 10, 50)
        watch.delays[1] = 1
        watch.run(600, 10, 50)
    watch.delays[1] = None
    watch.run(510, 10, 50)
    assert watch.links[1].is_up and watch.links[1].deprioritized
    watch.run(600, 10, 50)
    assert not watch.links[1].is_up


def test_a_short_silence_deprioritizes_for_a_moment_and_drops_no_peer() -> None:
    watch = Watch(3)
    watch.run(10_000, 10, 50)
    watch.delays[1] = None
    watch.run(280, 10, 50)
    watch.delays[1] = 1
    assert [link.deprioritized for link in watch.links] == ["", "silent", ""]
    watch.run(TIMEOUT_MS + 200, 10, 50)
    assert [link.deprioritized for link in watch.links] == ["", "", ""]
    assert all(link.is_up for link in watch.links)


def test_each_silence_is_logged_though_its_peer_is_deprioritized_already() -> None:
    watch = Watch(3)
    watch.run(10_000, 10, 50)
    for _ in range(3):
        watch.delays[1] = None
        watch.run(300, 10, 50)
        watch.delays[1] = 1
        watch.run(200, 10, 50)
        assert watch.links[1].deprioritized
    assert [peer for _, peer in watch.silent] == ["peer1"] * 3


def test_who_is_cut_off_is_so_until_it_speaks_or_is_down() -> None:
    watch = Watch(3)
    watch.run(10_000, 10, 50)
    for is_back in (True, False):
        watch.delays[1] = None
        watch.run(250, 10, 50)
        assert not watch.detector.cut_off
        watch.links[1].unacknowledged_ms = 250
        watch.run(100, 10, 50)
        assert list(watch.detector.cut_off) == ["peer1"]
        if is_back:
            watch.delays[1] = 1
        watch.run(500, 10, 50)
        assert not watch.detector.cut_off and watch.links[1].is_up == is_back


def test_who_works_through_a_long_queue_is_not_down() -> None:
    watch = Watch(3)
    watch.run(10_000, 10, 50)
    for queue_ms in range(0, 3 * TIMEOUT_MS, 10):      # each answer comes later than the last
        watch.delays[1] = queue_ms
        watch.run(20, 10, 50)
    assert watch.links[1].is_up and watch.links[1].deprioritized


def test_one_whose_commands_time_out_is_spared_although_its_frames_are_answered() -> None:
    watch = Watch(3)
    watch.run(3000)
    for _ in range(10):
        watch.detector.failed(watch.links[2])
        watch.run(300)
    assert [link.deprioritized for link in watch.links] == ["", "", "slow"]


def test_when_all_others_look_sick_the_trouble_is_here() -> None:
    watch = Watch(4)
    watch.run(3000, 10, 100)
    watch.delays[:] = [600, 700, 500, 1]
    watch.run(12_000, 10, 100)
    assert not any(link.deprioritized for link in watch.links)


def test_who_is_cut_off_is_spared_though_most_look_sick() -> None:
    watch = Watch(4)
    watch.run(10_000, 10, 50)
    watch.delays[:] = [None, None, 600, 1]      # two are cut off, and a third is busy
    watch.run(250, 10, 50)
    for link in watch.links[:2]:
        link.unacknowledged_ms = 250
    watch.run(100, 10, 50)
    assert [link.deprioritized for link in watch.links] == ["silent", "silent", "", ""]


def test_whose_system_says_nothing_for_as_long_is_down_whatever_delays_it_had() -> None:
    watch = Watch(3)
    for delay_ms in (10, 240) * 15:             # a busy machine: phi is slow to rise
        watch.delays[1] = delay_ms
        watch.run(300, 10, 50)
    watch.delays[1] = None
    watch.run(240, 10, 50)
    watch.links[1].unacknowledged_ms = TIMEOUT_MS // 3
    watch.run(280, 10, 50)
    assert not watch.links[1].is_up


def test_who_flaps_is_spared_ever_longer_but_not_for_ever() -> None:
    watch = Watch(2)
    watch.run(40_000)
    spared: list[bool] = []
    still: list[bool] = []
    for _ in range(6):
        watch.delays[0] = None
        watch.run(3000)
        assert not watch.links[0].is_up
        watch.delays[0] = 1
        watch.run(1200)
        assert watch.links[0].is_up
        spared.append(watch.links[0].deprioritized == "unsteady")
        watch.run(500)
        still.append(watch.links[0].deprioritized == "unsteady")
    assert spared == [True] * 6                 # who was lost in silence, for a moment
    assert still == [False] * 2 + [True] * 4
    watch.run(TIMEOUT_MS * (DEPRIORITIZED_MOST - 2))
    assert watch.links[0].deprioritized == "unsteady"
    watch.run(TIMEOUT_MS * 3)
    assert watch.links[0].deprioritized == ""


# ---- in a cluster ----


def downs(little: Little, name: str) -> int:
    return little.machines[ord(name) - 65].diary.names.count("peer_down")


def test_a_cut_of_one_direction_is_noticed_on_both_sides() -> None:
    little = Little(3).ready()
    little.run(3000)
    little.lost.add((0, 1))                     # A's frames to B vanish; B's reach A
    little.run(TIMEOUT_MS + BEAT_MS + 200)
    a, b = little.machines[0].name, little.machines[1].name
    assert not little["A"].links[b].is_up
    assert not little["B"].links[a].is_up
    assert little["C"].links[a].is_up and little["C"].links[b].is_up
    for name in "ABC":
        assert little.client(name)("SET", f"by{name}", "1") == b"OK"
    little.run(20_000)
    assert not little["A"].links[b].is_up and not little["B"].links[a].is_up
    assert downs(little, "A") + downs(little, "B") == 2     # once each: no node believes in half
    little.heal()
    for source, target in ((0, 1), (1, 0)):     # what vanished broke the connections
        little.machines[source].node.link(little.machines[target].name, False)
        little._open.pop((source, target))
    little.run(2500)
    assert little["A"].links[b].is_up and little["B"].links[a].is_up


def test_a_busy_owner_is_skipped_and_says_so_itself() -> None:
    little = Little(3, inflight_soft=10, exchange_interval_ms=0).ready()
    little.run(100)
    key = little.key_of("B")
    little.machines[1].fsync = False
    little["B"]._waits_for_disk = little["B"].coordinator.waits_for_disk = True
    crowd = little.client("B")
    for i in range(30):                         # they wait for B's own disk and for the others'
        crowd.send("DYN.WITH", "W", "3", "SET", little.key_of("B", f"x{i}-"), "1")
    little.run(5)
    assert little["B"].readiness.is_busy
    assert little["A"].links[little.machines[1].name].deprioritized == "busy"
    before = little["B"].counters.writes_coordinated
    assert little.client("A")("SET", key, "v") == b"OK"
    assert little["B"].counters.writes_coordinated == before
    little.machines[1].fsync = True
    little.run(3000)
    assert not little["B"].readiness.is_busy
    assert little["A"].links[little.machines[1].name].deprioritized == ""
    assert little.client("A")("SET", key, "v2") == b"OK"
    assert little["B"].counters.writes_coordinated > before
    assert little.client("C")("GET", key) == b"v2"


def test_when_all_owners_are_spared_the_first_one_coordinates() -> None:
    little = Little(3).ready()
    for name in "ABC":
        for link in little[name].links.values():
            link.deprioritized = "slow"
        little[name].replan()
    for name in "ABC":
        assert little.client(name)("SET", little.key_of("B", name), "v") == b"OK"


def test_one_peer_cannot_fill_a_coordinator_with_its_commands() -> None:
    little = Little(3, max_inflight=20, request_timeout_ms=1000).ready()
    little.holds |= {(1, 2), (1, 0)}            # B receives, but nothing of B's arrives
    client = little.client("A")
    keys = [little.key_of("B", f"k{i}-") for i in range(15)]
    for key in keys:
        client.send("SET", key, "v")
    other = little.client("C")
    for key in keys:
        other.send("SET", key, "w")
    little.run(20)
    b = little["B"]
    working = [b.links[little.machines[i].name].working for i in (0, 2)]
    assert working == [15, 15]
    little["A"].this.settings = replace(little["A"].settings, max_inflight=100)
    for i in range(15):
        client.send("SET", little.key_of("B", f"m{i}-"), "v")
    little.run(20)
    assert b.links[little.machines[0].name].working == 20
    assert b.counters.overloads == 10
    little.heal()
    replies = [client.receive() for _ in range(30)]
    refused = sum(str(reply).startswith("OVERLOAD 20 commands") for reply in replies)
    assert refused == 10, replies
    little.run(3000)
    assert not any(link.working for link in b.links.values())
