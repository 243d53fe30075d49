"""redis-py, standalone or cluster, let loose on a server; the same as `node/driver.mjs` does.

    python driver.py standalone|cluster HOST:PORT ...
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_LOOPS = 8
_KEYS = 200         # of each loop
_PAUSE_S = 0.002


def main() -> None:
    mode, *addresses = sys.argv[1:]
    nodes = [(host, int(port)) for host, _, port in (one.rpartition(":") for one in addresses)]
    make = _cluster if mode == "cluster" else _standalone
    client = make(nodes, 0)
    found: dict[str, Any] = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check(client, lambda: make(nodes, len(nodes) - 1))
        except redis.RedisError as wrong:
            found[name] = f"{type(wrong).__name__}: {wrong}"
    say("checked", found)
    say("loading", None)
    load = Load(client)
    loops = [threading.Thread(target=load.run, args=(number,)) for number in range(_LOOPS)]
    for loop in loops:
        loop.start()
    for line in sys.stdin:
        if line == "stop\n":
            break
    load.is_over = True
    for loop in loops:
        loop.join()
    say("done", load.sum())


def _standalone(nodes: list[tuple[str, int]], index: int) -> Any:
    once: dict[str, Any] = {}
    if os.environ.get("COMPAT_RETRIES") == "off":
        once = {"retry": Retry(NoBackoff(), 0), "retry_on_error": []}
    return redis.Redis(*nodes[index], decode_responses=True, socket_timeout=5, **once)


def _cluster(nodes: list[tuple[str, int]], index: int) -> Any:
    startup = [redis.cluster.ClusterNode(*node) for node in nodes]
    return redis.RedisCluster(startup_nodes=startup, decode_responses=True, socket_timeout=5)


def say(word: str, value: Any) -> None:
    """A line for the process that started this."""
    print(word, json.dumps(value), flush=True)


def _bytes(client: Any, _: Any) -> str:
    value = bytes((0, 195, 169, 13, 10))       # that can be decoded, since replies are
    client.set("c:b", value)
    return str(client.get("c:b").encode().hex())


def _pipeline(client: Any, _: Any) -> int:
    pipeline = client.pipeline(transaction=False)
    for number in range(4000):
        pipeline.incr(f"c:p:{number % 1000}")
    return sum(pipeline.execute())


def _error(client: Any, _: Any) -> str:
    try:
        return str(client.incr("c:a"))
    except redis.ResponseError as wrong:
        return str(wrong)


def _transaction(client: Any, _: Any) -> list[Any]:
    return client.pipeline(transaction=True).set("c:t", "1").incr("c:t").execute()


def _subscribe(client: Any, other: Any) -> str:
    pubsub = other().pubsub()
    pubsub.subscribe("c:news")
    end = time.monotonic() + 20
    published = False
    while time.monotonic() < end:
        message = pubsub.get_message(timeout=1)
        if message and message["type"] == "subscribe" and not published:
            client.publish("c:news", "hello")
            published = True
        if message and message["type"] == "message":
            return str(message["data"])
    return "no answer in 20 s"


CHECKS = {
    "set and get": lambda client, _: [
        "OK" if client.set("c:a", "hello") else "", client.get("c:a"),
    ],
    "an absent key": lambda client, _: client.get("c:none"),
    "bytes": _bytes,
    "four thousand in a pipeline": _pipeline,
    "scan": lambda client, _: len(set(client.scan_iter(match="c:p:*", count=100))),
    "time to live": lambda client, _: [
        int(client.expire("c:a", 100)), client.ttl("c:a") > 90,
    ],
    "an error": _error,
    "a transaction": _transaction,
    "publish and subscribe": _subscribe,
}


class Load:
    """Loops that write and read back keys of their own."""

    def __init__(self, client: Any) -> None:
        self.is_over = False
        self._client = client
        self._lock = threading.Lock()
        self._written: dict[str, int] = {}
        self._counts = Counter[str]()
        self._said = Counter[str]()
        self._last = time.monotonic()
        self._gap_s = 0.0

    def run(self, name: int) -> None:
        """One loop, until it is over."""
        number = 0
        while not self.is_over:
            key = f"l:{os.getpid()}:{name}:{number % _KEYS}"
            try:
                self._client.set(key, number)
                self._wrote(key, number)
                if int(self._client.get(key) or -1) < number:
                    self._counts["wrong"] += 1
            except redis.RedisError as wrong:
                with self._lock:
                    self._written.pop(key, None)       # whether it was written is not known
                    self._counts["errors"] += 1
                    self._said[str(wrong)[:80]] += 1
                time.sleep(0.02)
            number += 1
            time.sleep(_PAUSE_S)

    def _wrote(self, key: str, number: int) -> None:
        with self._lock:
            self._written[key] = number
            self._counts["writes"] += 1
            now = time.monotonic()
            self._gap_s = max(self._gap_s, now - self._last)
            self._last = now

    def sum(self) -> dict[str, Any]:
        """What came of it; every acknowledged write is read again."""
        missing = sum(
            int(self._client.get(key) or -1) < number for key, number in self._written.items()
        )
        return {
            "writes": self._counts["writes"], "errors": self._counts["errors"],
            "wrong": self._counts["wrong"], "missing": missing,
            "longest_gap_ms": round(self._gap_s * 1000), "said": dict(self._said),
        }


if __name__ == "__main__":
    main()
