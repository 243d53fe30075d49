"""Locks of redis-py, pottery, python-redis-lock and celery-once, taken at different nodes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis
from conftest import Outages

TURNS = 10


def _redis_py(client: Any) -> AbstractContextManager[Any]:
    return client.lock("lock", timeout=10, blocking_timeout=60)


def _python_redis_lock(client: Any) -> AbstractContextManager[Any]:
    import redis_lock
    return redis_lock.Lock(client, "lock", expire=10, auto_renewal=True)


def _pottery(client: Any) -> AbstractContextManager[Any]:
    from pottery import Redlock
    return Redlock(key="lock", masters={client}, auto_release_time=10)


LOCKS = {"redis-py": _redis_py, "python-redis-lock": _python_redis_lock, "pottery": _pottery}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_one_at_a_time_while_nothing_fails(
    lock: Callable[[Any], AbstractContextManager[Any]], nodes: list[tuple[str, int]],
) -> None:
    value = 0

    def work(number: int) -> None:
        nonlocal value
        client = redis.Redis(*nodes[number % 3])
        for _ in range(TURNS):
            with lock(client):
                seen = value
                time.sleep(0.002)
                value = seen + 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert value == 6 * TURNS


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_lock_can_be_taken_while_a_node_is_away_and_after(
    lock: Callable[[Any], AbstractContextManager[Any]], nodes: list[tuple[str, int]],
    outages: Outages,
) -> None:
    clients = [redis.Redis(*node, retry_on_error=[redis.ResponseError]) for node in nodes]
    for moment in ("before", "away", "back"):
        if moment == "away":
            outages.kill(1)
        if moment == "back":
            outages.restart(1)
        for client in (clients[0], clients[2], *([] if moment == "away" else [clients[1]])):
            with lock(client):
                pass


def test_all_that_redis_pys_lock_does(nodes: list[tuple[str, int]]) -> None:
    one, two, three = (redis.Redis(*node) for node in nodes)
    lock = one.lock("other", timeout=5)
    assert lock.acquire() and lock.owned() and lock.locked()
    assert lock.extend(5) and lock.reacquire()
    assert not two.lock("other").acquire(blocking=False)
    lock.release()
    assert three.lock("other", timeout=1).acquire(blocking=False)


def test_a_script_registered_once_runs_at_every_node(nodes: list[tuple[str, int]]) -> None:
    clients = [redis.Redis(*node) for node in nodes]
    add = clients[0].register_script(
        "redis.call('hincrby', KEYS[1], 'n', ARGV[1]) return redis.call('hgetall', KEYS[1])")
    found = [add(keys=["h"], args=[7], client=client) for client in clients]
    assert found == [[b"n", b"7"], [b"n", b"14"], [b"n", b"21"]]
    pipeline = clients[1].pipeline()
    add(keys=["h"], args=[1], client=pipeline)
    assert pipeline.get("none").execute() == [[b"n", b"22"], None]


def test_collections_of_pottery(nodes: list[tuple[str, int]]) -> None:
    from pottery import (
        BloomFilter,
        HyperLogLog,
        NextID,
        RedisCounter,
        RedisDeque,
        RedisDict,
        RedisList,
        RedisSet,
    )
    one, two, three = (redis.Redis(*node) for node in nodes)
    RedisDict({"a": 1}, redis=one, key="d")["b"] = 2
    assert dict(RedisDict(redis=two, key="d")) == {"a": 1, "b": 2}
    RedisSet({1, 2}, redis=two, key="s").add(3)
    assert RedisSet(redis=three, key="s") == {1, 2, 3}
    items = RedisList([1, 2, 3], redis=one, key="l")
    items.append(4)
    items[1] = 9
    del items[0]
    items.insert(1, 7)
    items.sort()
    assert list(RedisList(redis=three, key="l")) == [3, 4, 7, 9]
    deque = RedisDeque([1, 2], redis=one, key="q", maxlen=3)
    deque.append(3)
    deque.append(4)
    deque.rotate(1)
    assert list(deque) == [4, 2, 3]
    RedisCounter({"a": 1}, redis=one, key="c").update({"a": 2, "b": 1})
    assert RedisCounter(redis=two, key="c") == {"a": 3, "b": 1}
    numbers = [next(NextID(key="n", masters={client})) for client in (one, two, three)]
    assert numbers == [1, 2, 3]
    BloomFilter(num_elements=100, false_positives=0.01, redis=one, key="b").add("x")
    seen = BloomFilter(num_elements=100, false_positives=0.01, redis=two, key="b")
    assert "x" in seen and "y" not in seen
    HyperLogLog(["a", "b"], redis=one, key="h").add("c")
    assert len(HyperLogLog(redis=three, key="h")) == 3


def test_celery_once_lets_a_task_be_queued_once(urls: list[str]) -> None:
    from celery import Celery
    from celery_once import AlreadyQueued, QueueOnce
    app = Celery("once", broker=urls[0])
    app.conf.ONCE = {"backend": "celery_once.backends.Redis",
                     "settings": {"url": urls[1], "default_timeout": 3600}}

    @app.task(base=QueueOnce, name="once.task")
    def task(number: int) -> int:
        return number

    task.delay(1)
    with pytest.raises(AlreadyQueued):
        task.delay(1)
    task.delay(2)
