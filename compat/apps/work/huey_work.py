"""Huey: a task at a node."""

import os

from huey import PriorityRedisHuey, RedisHuey
from ledger import done

huey = (PriorityRedisHuey if os.environ.get("HUEY") == "priority" else RedisHuey)(
    "jobs", url=os.environ["BROKER"])


@huey.task(retries=3)
def job(number: int) -> int:
    done(number)
    return number * 2
