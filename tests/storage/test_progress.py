"""When a disk counts as stuck: by progress, not by how much there is to do."""

import os

from respdyn.storage.progress import LONGEST_ANSWER_S, STALL_S, Progress, work_of


def test_who_says_and_does_nothing_is_stuck() -> None:
    progress = Progress()
    progress.spoke(100.0)
    progress.worked((5, 5), 100.0)
    for second in range(1, int(STALL_S) + 1):
        progress.worked((5, 5), 100.0 + second)
        assert not progress.is_stuck(100.0 + second)
    assert progress.is_stuck(100.1 + STALL_S)


def test_a_long_queue_that_gets_shorter_is_not_stuck() -> None:
    """A hundred megabytes at ten a second: the last answer is a minute after the first batch."""
    progress = Progress()
    for second in range(300):
        progress.spoke(float(second))
        assert not progress.is_stuck(second + STALL_S - 1)


def test_one_write_that_takes_long_is_seen_to_be_done() -> None:
    progress = Progress()
    progress.spoke(0.0)
    for second in range(1, int(LONGEST_ANSWER_S)):
        progress.worked((second,), float(second))
        assert not progress.is_stuck(float(second))


def test_who_is_busy_and_never_answers_is_stuck_in_the_end() -> None:
    progress = Progress()
    progress.spoke(0.0)
    for second in range(1, 2 * int(LONGEST_ANSWER_S)):
        progress.worked((second,), float(second))
        progress.moved(float(second))
    assert progress.is_stuck(LONGEST_ANSWER_S + 1)


def test_it_gets_on_again_as_soon_as_it_speaks() -> None:
    progress = Progress()
    progress.spoke(0.0)
    assert progress.is_stuck(2 * STALL_S)
    progress.spoke(2 * STALL_S)
    assert not progress.is_stuck(2 * STALL_S + 1)


def test_work_is_seen() -> None:
    before = work_of(os.getpid())
    with open(os.devnull, "wb") as nowhere:
        nowhere.write(b"x" * 100_000)
    assert work_of(os.getpid()) != before
    assert work_of(0) == ()
