"""Rate limiters: the fixed window that Redis's documentation shows, and what needs Lua."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter


class FixedWindow:
    """INCR and EXPIRE in one pipeline: so many a window, whoever asks at whichever node."""

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


def test_the_limits_package_needs_lua(urls: list[str]) -> None:
    """Every strategy of it runs scripts, the fixed window too; it will work once there are any."""
    limiter = FixedWindowRateLimiter(storage_from_string(urls[0]))
    with pytest.raises(redis.ResponseError, match="unknown command"):
        limiter.hit(RateLimitItemPerMinute(5), "ann")
