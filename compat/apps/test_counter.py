"""A counter that is hit at two nodes at once has the right number everywhere."""

from concurrent.futures import ThreadPoolExecutor

import redis

HITS = 2000


def test_no_hit_is_lost_and_none_is_counted_twice(nodes: list[tuple[str, int]]) -> None:
    clients = [redis.Redis(*node) for node in nodes]

    def hit(number: int) -> int:
        return int(clients[number % 2].incr("hits"))

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(hit, range(HITS)))
    assert sorted(seen) == list(range(1, HITS + 1))
    assert [int(client.get("hits") or 0) for client in clients] == [HITS] * 3


def test_steps_up_and_down_and_fractions(nodes: list[tuple[str, int]]) -> None:
    one, two, _ = (redis.Redis(*node) for node in nodes)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: (one.incrby("n", 7), two.decrby("n", 3)), range(200)))
        list(pool.map(lambda _: (one.incrbyfloat("f", 0.5), two.incrbyfloat("f", 0.25)),
                      range(100)))
    assert int(two.get("n") or 0) == 200 * 4
    assert float(one.get("f") or 0) == 75
