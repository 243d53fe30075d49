"""arq: a coroutine, and the settings of a worker at a node."""

import os
from typing import Any, ClassVar

from arq.connections import RedisSettings
from ledger import done


async def job(_: dict[str, Any], number: int) -> int:
    done(number)
    return number * 2


class Worker:
    """What `arq arq_work.Worker` reads."""

    functions: ClassVar = [job]
    redis_settings = RedisSettings.from_dsn(os.environ.get("BROKER", "redis://127.0.0.1"))
    job_timeout = 5                     # so long, and ten seconds, a job of a dead worker is kept
    poll_delay = 0.1
    max_jobs = 4
