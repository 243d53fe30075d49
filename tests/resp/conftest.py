"""The redis-server that the tests of commands compare with."""

from tests.commands.conftest import redis_server

__all__ = ["redis_server"]
