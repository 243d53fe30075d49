"""An attacker between two nodes who does not know their secret: a proxy through which one dials
the other. It puts frames in, leaves some out, repeats them, and changes their order and bytes.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from respdyn.resp.replies import array, bulk
from respdyn.server.channel import HEAD_BYTES, Sealer
from respdyn.server.handshake import decode
from tests.server.stub import LOOPBACK, Served, served, until

Frames = list[bytes]
EVIL = array([bulk(b"ACL SETUSER mallory on nopass +@all")])
SENT = [[b"one"], [b"two", bytes(3000)], [b"three"]]


class Between:
    """Forwards a connection's handshake as it is; then its frames, once all are there, `changed`.

    What comes after those passes as it is, on each connection that follows as well.
    """

    def __init__(self, target: int, changed: Callable[[Frames], Frames]) -> None:
        self.port = 0
        self._target = target
        self._changed = changed
        self._is_over = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, dialer: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        listener, onward = await asyncio.open_connection(LOOPBACK, self._target)
        answers = asyncio.create_task(self._copy(listener, back))
        try:
            await self._forward(dialer, onward)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        onward.close()
        back.close()
        await answers

    async def _forward(self, dialer: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        hello = b""
        while (message := decode(hello)) is None:
            hello += await dialer.readexactly(1)
        assert message[1] == b""
        onward.write(hello)
        if not self._is_over:
            frames = []
            for _ in SENT:
                head = await dialer.readexactly(HEAD_BYTES)
                frames.append(head + await dialer.readexactly(int.from_bytes(head[:8], "big")))
            self._is_over = True
            onward.writelines(self._changed(frames))
        await self._copy(dialer, onward)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass
        target.close()


@contextmanager
def between(target: int, changed: Callable[[Frames], Frames]) -> Iterator[int]:
    """Where an attacker listens who passes on to `target`."""
    loop = asyncio.new_event_loop()
    one = Between(target, changed)
    loop.run_until_complete(one.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield one.port
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.fixture()
def pair() -> Iterator[tuple[Served, Served]]:
    with served("a", peer_secret="s") as one, served("b", peer_secret="s") as other:
        yield one, other


def say(one: Served, other: Served, changed: Callable[[Frames], Frames]) -> Served:
    """One dials the other through the attacker, and sends three frames."""
    with between(other.peer_port, changed) as port:
        one.node.wanted = {f"{LOOPBACK}:{port}": None}
        until(lambda: one.node.links == [("b", True)], "the link is up")
        frames = [array([bulk(item) for item in items]) for items in SENT]
        one.call(lambda: one.node.out.extend(("b", frame) for frame in frames))
        until(lambda: len(other.node.frames) == len(SENT) or ("b", False) in one.node.links,
              "they arrive, or the connection ends")
        if len(other.node.frames) < len(SENT):
            until(lambda: one.node.links[-1] == ("b", True), "another connection is made")
            count = len(other.node.frames)
            one.call(lambda: one.node.out.append(("b", array([bulk(b"again")]))))
            until(lambda: len(other.node.frames) > count, "and works")
            assert other.node.frames.pop() == ("a", [b"again"])
    return other


def test_who_only_passes_on_is_not_noticed(pair: tuple[Served, Served]) -> None:
    other = say(*pair, lambda frames: frames)
    assert [items for _, items in other.node.frames] == SENT
    assert other.metrics.peer_protocol_errors == 0


@pytest.mark.parametrize(("changed", "arrive"), [
    (lambda f: [f[0], Sealer(bytes(32)).head(EVIL) + EVIL, *f[1:]], 1),
    (lambda f: [len(EVIL).to_bytes(8, "big") + f[0][8:HEAD_BYTES] + EVIL, *f], 0),
    (lambda f: [f[0], f[0], *f[1:]], 1),
    (lambda f: [f[0], f[2]], 1),
    (lambda f: [f[1], f[0], f[2]], 0),
    (lambda f: [f[0], f[1][:-5] + b"\x01" + f[1][-4:], f[2]], 1),
    (lambda f: [*f[:2], f[0]], 2),
], ids=["inserted", "inserted under a MAC of another", "repeated", "left out", "reordered",
        "changed", "replayed at the end"])
def test_who_touches_a_frame_ends_the_connection_and_gets_nothing_in(
    changed: Callable[[Frames], Frames], arrive: int, pair: tuple[Served, Served]
) -> None:
    other = say(*pair, changed)
    assert [items for _, items in other.node.frames] == SENT[:arrive]
    assert other.metrics.peer_protocol_errors == 1
    [refusal] = other.trace.named("peer_refused")
    assert "not proved" in str(refusal["reason"])
