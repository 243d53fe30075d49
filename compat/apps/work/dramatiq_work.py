"""Dramatiq: an actor at a node."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from ledger import done

# What a dead worker had fetched is given to others after so long.
dramatiq.set_broker(RedisBroker(url=os.environ["BROKER"], heartbeat_timeout=5000,
                                maintenance_chance=20_000))


@dramatiq.actor(max_retries=10, min_backoff=100)
def job(number: int) -> None:
    done(number)
