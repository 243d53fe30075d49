"""The long way: whatever clients send is read and run without the fast path."""

from respdyn.node import Node
from respdyn.resp.requests import RequestReader
from respdyn.sessions.session import Session


class LongWay(Node):
    """A node that knows no other."""

    def serve(
        self, session: Session, reader: RequestReader, most: int, soft_bytes: int
    ) -> int:
        if session.closing or not reader.read():
            return 0
        self.sessions.command(session, reader.ready.popleft())
        return 1
