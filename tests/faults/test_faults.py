"""Real nodes in network namespaces keep what they acknowledged; the long run is `make faults`."""

import os

import pytest

from tests.faults import course, stories, trials
from tests.faults.machines import sh


@pytest.mark.slow
@pytest.mark.needs("ip", "iptables", "mkfs.ext4")
@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces, which only root may")
def test_nothing_acknowledged_is_lost_by_kills_cuts_pauses_wiped_disks_and_power() -> None:
    answers = course.run(seed=1, harms=["kill", "halves", "pause", "wipe", "power-all"], seconds=3)
    assert answers.answered > 500


@pytest.mark.slow
@pytest.mark.needs("ip", "iptables", "mkfs.ext4")
@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces, which only root may")
@pytest.mark.parametrize("name", ["rolling-restart", "grow-and-shrink", "two-for-good"])
def test_a_client_with_one_retry_notices_nothing(name: str) -> None:
    stories.STORIES[name](2.0)


@pytest.mark.slow
@pytest.mark.needs("ip", "iptables", "mkfs.ext4", "gcc")
@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces, which only root may")
@pytest.mark.parametrize("name", ["late", "clock-back"])
def test_a_trial_reports_what_its_clients_saw(name: str) -> None:
    assert any("acknowledged" in line or "answered" in line for line in trials.TRIALS[name](1, 1.5))


@pytest.mark.needs("ip", "iptables", "mkfs.ext4")
@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces, which only root may")
def test_nothing_is_left_behind() -> None:
    assert "rdf" not in sh("ip", "netns", "list") + sh("ip", "-br", "link")
