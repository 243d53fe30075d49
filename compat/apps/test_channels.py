"""channels_redis: Django's messages between web processes, each at a node of its own."""

import asyncio
from typing import Any

import pytest
from channels.exceptions import ChannelFull
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from conftest import Outages


async def _group(layers: list[Any], names: list[str]) -> None:
    """A message to a group comes to all members and to none that has left."""
    for layer, name in zip(layers, names, strict=True):
        await layer.group_add("group", name)
    await asyncio.sleep(0.3)
    await layers[2].group_send("group", {"type": "message", "n": 1})
    found = await asyncio.gather(
        *(layer.receive(name) for layer, name in zip(layers, names, strict=True)))
    assert [one["n"] for one in found] == [1, 1, 1]
    await layers[0].group_discard("group", names[0])
    await asyncio.sleep(0.3)
    await layers[1].group_send("group", {"type": "message", "n": 2})
    assert (await layers[2].receive(names[2]))["n"] == 2
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(layers[0].receive(names[0]), 0.5)


def test_a_layer_of_sorted_sets(urls: list[str]) -> None:
    async def story() -> None:
        layers = [RedisChannelLayer(hosts=[url], capacity=100) for url in urls]
        names = [await layer.new_channel() for layer in layers]
        await _group(layers, names)
        for number in range(50):
            await layers[1].send(names[0], {"type": "message", "n": number})
        assert [(await layers[0].receive(names[0]))["n"] for _ in range(50)] == list(range(50))
        with pytest.raises(ChannelFull):
            for number in range(101):
                await layers[1].send("full", {"type": "message", "n": number})
        for layer in layers:
            await layer.flush()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_layer_of_published_messages(urls: list[str]) -> None:
    async def story() -> None:
        layers = [RedisPubSubChannelLayer(hosts=[url]) for url in urls]
        names = [await layer.new_channel() for layer in layers]
        await _group(layers, names)
        for layer in layers:
            await layer.flush()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_messages_come_while_another_node_is_killed(urls: list[str], outages: Outages) -> None:
    """In their order; none that was sent is lost."""
    async def story() -> None:
        sender, receiver = (RedisChannelLayer(hosts=[url], capacity=1000)
                            for url in (urls[0], urls[2]))
        name = await receiver.new_channel()
        sent: list[int] = []
        received: list[int] = []

        async def send() -> None:
            for number in range(100):
                if number == 30:
                    await asyncio.to_thread(outages.kill, 1)
                if number == 70:
                    await asyncio.to_thread(outages.restart, 1)
                try:
                    await sender.send(name, {"type": "message", "n": number})
                    sent.append(number)
                except Exception as wrong:      # whatever its Redis client makes of an error
                    print(f"channels_redis: {number} was refused: {wrong}")
                await asyncio.sleep(0.02)

        async def listen() -> None:
            while True:
                try:
                    received.append((await receiver.receive(name))["n"])
                except Exception as wrong:
                    print(f"channels_redis: while it listened: {wrong}")
                    await asyncio.sleep(0.1)

        listening = asyncio.create_task(listen())
        await send()
        for _ in range(200):
            if set(sent) <= set(received):
                break
            await asyncio.sleep(0.1)
        listening.cancel()
        print(f"channels_redis: {len(sent)} sent, {len(set(sent) - set(received))} lost,"
              f" {len(received) - len(set(received))} received again")
        assert set(sent) <= set(received)

    asyncio.run(asyncio.wait_for(story(), 120))
