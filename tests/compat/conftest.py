"""The redis-server that other tests compare with."""

from tests.commands.conftest import redis_server

__all__ = ["redis_server"]
