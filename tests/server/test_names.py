"""Looking up a name holds nothing up: not the loop's turns, and not its end."""

import asyncio
import threading
import time

import pytest
import uvloop

from respdyn.server.names import look_up

SLOW_S = 30.0


def test_a_name_leads_to_addresses() -> None:
    async def ask() -> list[str]:
        return await look_up(asyncio.get_running_loop(), "localhost", 6379)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert {"127.0.0.1", "::1"} & set(runner.run(ask()))


def test_an_unknown_name_is_an_error_of_the_system() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    async def ask() -> list[str]:
        return await look_up(asyncio.get_running_loop(), "x", 6379, unknown)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(OSError):
        runner.run(ask())


def test_the_loop_ends_while_a_resolver_is_still_thinking() -> None:
    over = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        over.wait(SLOW_S)
        raise OSError("timed out")

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.shield(look_up(asyncio.get_running_loop(), "gone", 6379, slow))

    began = time.monotonic()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
    assert time.monotonic() - began < SLOW_S / 2
    over.set()
