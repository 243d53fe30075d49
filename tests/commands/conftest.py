"""One redis-server for all tests of a run that compare with it."""

from collections.abc import Iterator

import pytest

from tests.commands.real import Connection, Redis, running


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    with running() as server:
        yield server


@pytest.fixture
def redis(redis_server: Redis) -> Iterator[Connection]:
    connection = redis_server.connect()
    connection.call(b"FLUSHALL")
    yield connection
    connection.close()
