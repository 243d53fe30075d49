"""What a connection between nodes carries once both ends are proved: frames, each with a proof.

    length of the frame, 8 bytes | MAC, 16 bytes | the frame

The MAC is BLAKE3 in keyed mode over the frame's number on this connection and the frame, under a
key that only this connection has (`handshake.session_key`). Who is in between and does not know the
secret can read, delay and cut; it cannot change, insert, repeat, leave out or reorder a frame
without the connection ending. Nothing of a frame is parsed before it is proved, so what a stranger
sends decides neither how much memory is taken nor how deep anything nests.

Nothing is encrypted here: that is what `tls-replication` is for.

Source: decision 0039.
"""

import hmac
from collections.abc import Iterator
from typing import Final, cast

import hiredis
from blake3 import blake3

from respdyn.errors import PeerError

MAC_BYTES: Final = 16
HEAD_BYTES: Final = 8 + MAC_BYTES
_IN_PIECES: Final = 1 << 16     # a frame above this is not copied to be summed up


class Sealer:
    """Goes before each frame that leaves."""

    def __init__(self, key: bytes) -> None:
        self._keyed = blake3(key=key)   # copied for each frame: that is less than to begin anew
        self._number = 0

    def head(self, *frame: bytes) -> bytes:
        """What goes before this frame, given in pieces, which is the next."""
        self._number += 1
        number = self._number.to_bytes(8, "big")
        size = sum(map(len, frame))
        whole = self._keyed.copy()
        if size > _IN_PIECES:
            whole.update(number)
            for piece in frame:
                whole.update(piece)
        else:
            whole.update(b"".join((number, *frame)))
        return size.to_bytes(8, "big") + whole.digest(MAC_BYTES)


class Opener:
    """Takes bytes as they arrive, and gives the frames that are proved."""

    def __init__(self, key: bytes, limit: int) -> None:
        self.unfinished = 0             # bytes of a frame that is not complete
        self._keyed = blake3(key=key)
        self._limit = limit             # of a frame
        self._number = 0
        self._head = b""                # of the next frame, as far as it has come
        self._missing = 0               # of the frame under way
        self._mac = b""
        self._sum: blake3 | None = None
        self._reader = hiredis.Reader()

    def open(self, data: bytes) -> Iterator[list[bytes]]:
        """The frames that these bytes complete. Raises `PeerError`."""
        at, end = 0, len(data)
        while at < end:
            if not self._missing:
                start = at
                at = min(end, at + HEAD_BYTES - len(self._head))
                self._head += data[start:at]
                if len(self._head) < HEAD_BYTES:
                    return
                self._begin(self._head)
                self._head = b""
            piece = data[at : at + self._missing] if at or end > self._missing else data
            at += len(piece)
            self._missing -= len(piece)
            self.unfinished += len(piece)
            if self._missing or self._sum is not None:
                self._add(piece)
                if self._missing:
                    return
                found = self._sum.digest(MAC_BYTES) if self._sum is not None else b""
                self._sum = None
            else:
                whole = self._keyed.copy()
                whole.update(self._number.to_bytes(8, "big") + piece)
                found = whole.digest(MAC_BYTES)
                self._reader.feed(piece)
            if not hmac.compare_digest(found, self._mac):
                raise PeerError("a frame that is not proved: it was changed, or is not the next")
            self.unfinished = 0
            yield self._parsed()

    def _begin(self, head: bytes) -> None:
        self._missing = int.from_bytes(head[:8], "big")
        if not self._missing:
            raise PeerError("a frame of nothing")
        if self._missing > self._limit:
            raise PeerError("a frame is too long (peer-frame-limit)")
        self._mac = head[8:]
        self._number += 1

    def _add(self, piece: bytes) -> None:
        """One piece of a frame that comes in several. It is parsed when it is proved."""
        if self._sum is None:
            self._sum = self._keyed.copy()
            self._sum.update(self._number.to_bytes(8, "big"))
        self._sum.update(piece)
        self._reader.feed(piece)

    def _parsed(self) -> list[bytes]:
        try:
            items = self._reader.gets()
            is_more = items is not False and self._reader.has_data()
        except (hiredis.HiredisError, MemoryError, TypeError) as wrong:     # a key without a hash
            raise PeerError(f"malformed frame: {wrong}") from None
        if type(items) is not list or is_more:
            raise PeerError("a frame is not an array")
        return cast("list[bytes]", items)
