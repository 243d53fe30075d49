"""The redis-server that tests of this package compare with."""

from tests.commands.conftest import redis, redis_server

__all__ = ["redis", "redis_server"]
