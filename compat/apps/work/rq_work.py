"""RQ: a function, and a worker at a node."""

import sys

import redis
from ledger import done
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty


def job(number: int) -> int:
    done(number)
    return number * 2


class Worker(SimpleWorker):
    """Runs jobs in its own process, so that hundreds of them take seconds."""

    death_penalty_class = TimerDeathPenalty


if __name__ == "__main__":
    client = redis.Redis.from_url(sys.argv[1])
    Worker([Queue("jobs", connection=client)], connection=client).work(with_scheduler=True)
