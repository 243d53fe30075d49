"""Celery: a task that is acknowledged when it is done."""

import os

from celery import Celery
from ledger import done

# A job whose worker has lost its broker is given to another after so many seconds.
app = Celery("work", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.update(
    task_acks_late=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 6, "unacked_restore_limit": 100,
                              "socket_timeout": 5},
    result_expires=600, worker_cancel_long_running_tasks_on_connection_loss=True,
)


@app.task
def job(number: int) -> int:
    done(number)
    return number * 2
