"""Login pace: an address that tries passwords is slowed down, and no other address.

The first few wrong ones cost nothing, since people mistype. After that each makes the address wait,
twice as long as the one before; what it says meanwhile is refused without a look at the password.
A right one, or a while of silence, and all is forgotten. Wrong passwords of one address never
delay another: then any client could lock all others out.
"""

from typing import Final

FREE: Final = 10                # wrong passwords in a row without a wait
FIRST_WAIT_MS: Final = 100
WAIT_MAX_MS: Final = 10_000
FORGOTTEN_MS: Final = 60_000    # after the last wrong one
ADDRESSES_MAX: Final = 10_000   # remembered; of more the oldest is forgotten


class LoginPace:
    """Who has said wrong passwords lately."""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[int, int]] = {}    # address: how many in a row, and the last

    def wait_ms(self, address: str, now_ms: int) -> int:
        """How long this address has to wait before it may try again."""
        count, last_ms = self._wrong.get(address, (0, 0))
        if count < FREE:
            return 0
        pause_ms = min(FIRST_WAIT_MS << min(count - FREE, 10), WAIT_MAX_MS)
        return max(0, last_ms + pause_ms - now_ms)

    def was_wrong(self, address: str, now_ms: int) -> None:
        """A wrong password."""
        count, last_ms = self._wrong.pop(address, (0, now_ms))
        if now_ms - last_ms > FORGOTTEN_MS:
            count = 0
        if len(self._wrong) >= ADDRESSES_MAX:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = (count + 1, now_ms)

    def was_right(self, address: str) -> None:
        """A right one."""
        self._wrong.pop(address, None)
