"""Rate limiters: the fixed window that Redis's documentation shows, limits and Flask-Limiter."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from conftest import Outages
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItemPerHour
from limits.storage import storage_from_string
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)


class FixedWindow:
    """INCR and EXPIRE in one pipeline: so many a window, whichever node is asked."""

    def __init__(self, client: redis.Redis, most: int, seconds: int) -> None:
        self._client = client
        self._most = most
        self._seconds = seconds

    def hit(self, who: str) -> bool:
        """Whether one more is allowed."""
        key = f"limit:{who}:{int(time.time()) // self._seconds}"
        pipeline = self._client.pipeline(transaction=False)
        count, _ = pipeline.incr(key).expire(key, self._seconds, nx=True).execute()
        return bool(count <= self._most)


def test_exactly_as_many_as_allowed_over_all_nodes(nodes: list[tuple[str, int]]) -> None:
    limiters = [FixedWindow(redis.Redis(*node), 100, 3600) for node in nodes]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: limiters[number % 3].hit("ann"), range(300)))
    assert found.count(True) == 100
    assert limiters[0].hit("bob")


def test_a_window_is_over(nodes: list[tuple[str, int]]) -> None:
    limiter = FixedWindow(redis.Redis(*nodes[0]), 2, 1)
    while time.time() % 1 > 0.2:
        time.sleep(0.01)
    assert [limiter.hit("ann") for _ in range(3)] == [True, True, False]
    time.sleep(1.1)
    assert limiter.hit("ann")
    time.sleep(2.5)
    assert redis.Redis(*nodes[1]).keys("limit:*") == []


STRATEGIES = (FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_limits_package_counts_over_all_nodes(
    strategy: type[RateLimiter], urls: list[str],
) -> None:
    limiters = [strategy(storage_from_string(url)) for url in urls]
    limit = RateLimitItemPerHour(20)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda number: limiters[number % 3].hit(limit, "ann"), range(60)))
    assert found.count(True) == 20
    assert limiters[0].get_window_stats(limit, "ann").remaining == 0
    assert not limiters[1].test(limit, "ann")
    limiters[2].clear(limit, "ann")
    assert limiters[0].hit(limit, "ann")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_hit_is_forgotten_while_a_node_is_killed(
    strategy: type[RateLimiter], urls: list[str], outages: Outages,
) -> None:
    """Of an error it is not known whether it was counted; all else is."""
    limiters = [strategy(storage_from_string(url)) for url in (urls[0], urls[2])]
    limit = RateLimitItemPerHour(100)
    allowed = unknown = 0
    for number in range(150):
        if number == 40:
            outages.kill(1)
        if number == 110:
            outages.restart(1)
        try:
            allowed += limiters[number % 2].hit(limit, "ann")
        except redis.RedisError as wrong:
            print(f"{strategy.__name__}: hit {number}: {wrong}")
            unknown += 1
        time.sleep(0.02)
    print(f"{strategy.__name__}: {allowed} of 100 allowed, {unknown} unknown")
    assert 100 - unknown <= allowed <= 100


def test_flask_limiter(urls: list[str], nodes: list[tuple[str, int]]) -> None:
    clients = []
    for url in urls:
        app = Flask("limited")
        Limiter(get_remote_address, app=app, default_limits=["5 per hour"], storage_uri=url,
                strategy="moving-window")
        app.route("/")(lambda: "ok")
        clients.append(app.test_client())
    assert [clients[number % 3].get("/").status_code for number in range(8)] == (
        [200] * 5 + [429] * 3)
