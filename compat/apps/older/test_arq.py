"""arq, which wants an older redis-py: two workers, one of whose nodes is killed."""

import asyncio
from pathlib import Path

import redis
import story
from arq import create_pool
from arq.connections import RedisSettings
from conftest import Outages


def test_arq(urls: list[str], outages: Outages, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(create_pool(RedisSettings.from_dsn(urls[0])))
    work = [story.script("arq"), "arq_work.Worker"]
    with story.workers(["env", f"BROKER={urls[1]}", *work], ["env", f"BROKER={urls[2]}", *work],
                       logs=tmp_path, LEDGER=str(ledger)) as workers:
        outcome = story.play(
            lambda number: loop.run_until_complete(pool.enqueue_job("job", number)), ledger,
            outages, (redis.RedisError, OSError))
        outcome.show("arq", workers.restarts)
        last = loop.run_until_complete(pool.enqueue_job("job", 1000))
        assert last is not None and loop.run_until_complete(last.result(20)) == 2000
    loop.run_until_complete(pool.aclose())
    assert not outcome.lost
