"""Job queues with two workers, each at a node of its own, while one of these nodes is killed."""

import importlib
import sys
from pathlib import Path

import pytest
import redis
import story
from conftest import Outages


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, urls: list[str]) -> Path:
    """Where jobs are noted. The test hands out what is in `work/`, at the first node."""
    monkeypatch.syspath_prepend(story.HERE / "work")
    monkeypatch.setenv("BROKER", urls[0])
    return tmp_path / "ledger"


def _at(url: str, *words: str) -> list[str]:
    return ["env", f"BROKER={url}", *words]


def test_celery(
    urls: list[str], outages: Outages, ledger: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It knows all nodes, and takes the next when its own is gone."""
    monkeypatch.setenv("BROKER", ";".join(urls))
    monkeypatch.setenv("BACKEND", urls[0])
    import celery_work
    from kombu.exceptions import OperationalError

    def words(name: str, brokers: list[str]) -> list[str]:
        return [story.script("celery"), "-A", "celery_work", "-b", ";".join(brokers), "worker",
                "-c", "2", "-l", "warning", "-n", f"{name}@here"]

    with story.workers(words("one", urls[1:] + urls[:1]), words("two", urls[2:] + urls[:2]),
                       logs=ledger.parent, LEDGER=str(ledger)) as workers:
        outcome = story.play(
            celery_work.job.delay, ledger, outages, (OperationalError, redis.RedisError))
        outcome.show("celery", workers.restarts)
        results = [celery_work.job.delay(number) for number in (1000, 1001)]
        assert [one.get(timeout=20) for one in results] == [2000, 2002]
    # It takes a job out of its list and notes it as taken in two steps: a worker that ends in
    # between, as on an error that it does not expect, has it and does it not.
    assert len(outcome.lost) <= workers.restarts


def test_rq(urls: list[str], outages: Outages, ledger: Path) -> None:
    from rq import Queue, Retry
    queue = Queue("jobs", connection=redis.Redis.from_url(urls[0]))
    work = [sys.executable, "rq_work.py"]
    with story.workers([*work, urls[1]], [*work, urls[2]], logs=ledger.parent,
                       LEDGER=str(ledger)) as workers:
        outcome = story.play(
            lambda number: queue.enqueue("rq_work.job", number, retry=Retry(3)), ledger, outages,
            (redis.RedisError,))
        outcome.show("rq", workers.restarts)
    # A worker that ends while it has a job gives it back when it is looked for, minutes later.
    assert len(outcome.lost) <= workers.restarts


@pytest.mark.parametrize("kind", ["list", "priority"])
def test_huey(
    kind: str, urls: list[str], outages: Outages, ledger: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HUEY", kind)
    import huey_work
    importlib.reload(huey_work)
    work = [story.script("huey_consumer"), "huey_work.huey", "-w", "2", "-q"]
    with story.workers(_at(urls[1], *work), _at(urls[2], *work), logs=ledger.parent,
                       LEDGER=str(ledger)) as workers:
        outcome = story.play(huey_work.job, ledger, outages, (redis.RedisError,), within_s=20)
        outcome.show(f"huey, {kind}", workers.restarts)
    # It takes a job out of the queue before it does it: what is in a reply that a dead node does
    # not send any more no client has.
    assert len(outcome.lost) <= 2


def test_dramatiq(urls: list[str], outages: Outages, ledger: Path) -> None:
    import dramatiq_work
    from dramatiq.errors import BrokerConnectionError
    work = [story.script("dramatiq"), "dramatiq_work", "-p", "1", "-t", "2"]
    with story.workers(_at(urls[1], *work), _at(urls[2], *work), logs=ledger.parent,
                       LEDGER=str(ledger)) as workers:
        outcome = story.play(
            dramatiq_work.job.send, ledger, outages, (redis.RedisError, BrokerConnectionError))
        outcome.show("dramatiq", workers.restarts)
    assert not outcome.lost
