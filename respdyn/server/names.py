"""Host names to addresses (DNS), without blocking on the answer.

A resolver may take many seconds over a name that is gone, as those of stopped containers are. The
loop's own `getaddrinfo` makes the loop wait for that when it is closed, and threads of an executor
make the interpreter wait: so a node whose peer had gone took ten seconds longer to stop. Here the
question is put in a thread that is never joined.
"""

import asyncio
import socket
import threading
from collections.abc import Callable


def addresses(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises `OSError`."""
    return [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def look_up(
    loop: asyncio.AbstractEventLoop, host: str, port: int,
    ask: Callable[[str, int], list[str]] = addresses,
) -> asyncio.Future[list[str]]:
    """The addresses of a name, at least one, or the `OSError`; a closed loop never learns them."""
    answer: asyncio.Future[list[str]] = loop.create_future()
    answer.add_done_callback(_seen)

    def in_thread() -> None:
        try:
            found: list[str] | OSError | UnicodeError = ask(host, port)
        except (OSError, UnicodeError) as wrong:
            found = wrong
        try:
            loop.call_soon_threadsafe(_fill, answer, found)
        except RuntimeError:
            pass                # the loop is closed

    threading.Thread(target=in_thread, name=f"look up {host}", daemon=True).start()
    return answer


def _fill(
    answer: asyncio.Future[list[str]], found: list[str] | OSError | UnicodeError
) -> None:
    if answer.done():
        return
    if isinstance(found, list):
        answer.set_result(found)
    else:
        answer.set_exception(found)


def _seen(answer: asyncio.Future[list[str]]) -> None:
    """Its error counts as seen, though the caller may have given up."""
    if not answer.cancelled():
        answer.exception()
