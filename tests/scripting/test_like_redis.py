"""Every script has the reply that Redis gives it: hundreds by hand, and generated ones."""

from collections.abc import Iterator

import pytest

from tests.commands.real import Connection, running
from tests.scripting.corpus import generated, scripts
from tests.scripting.differential import differences

GENERATED = 600


@pytest.fixture(scope="module")
def redis() -> Iterator[Connection]:
    with running() as server:
        yield server.connect()


def shown(found: list[tuple[str, bytes, bytes]]) -> str:
    return "\n".join(f"{one[0]}\n    {one[1]!r}\n    {one[2]!r}" for one in found)


def test_scripts_reply_as_in_redis(redis: Connection) -> None:
    found = differences(scripts(), redis)
    assert not found, shown(found)


def test_scripts_reply_as_in_redis_in_resp3(redis: Connection) -> None:
    found = differences(scripts(), redis, resp3=True)
    assert not found, shown(found)


def test_scripts_that_may_not_write_reply_as_in_redis(redis: Connection) -> None:
    found = differences(scripts(), redis, command=b"EVAL_RO")
    assert not found, shown(found)


@pytest.mark.parametrize("seed", [1, 2])
def test_generated_scripts_reply_as_in_redis(redis: Connection, seed: int) -> None:
    found = differences(generated(seed, GENERATED), redis)
    assert not found, shown(found)
