"""CLIENT KILL and QUIT: a client that is gone is gone for all others before the reply."""

import pytest

from tests.commands.alone import Alone


@pytest.mark.parametrize("words", [
    "ID {id}", "ADDR {addr}", "{addr}", "TYPE PUBSUB", "USER u", "ID {id} TYPE PUBSUB",
    "LADDR 127.0.0.1:6379 TYPE pubsub", "TYPE pubsub SKIPME no",
])
def test_who_is_killed_is_gone_before_the_reply(words: str) -> None:
    """Another client that asks in the same turn does not find it, nor does it listen any more."""
    alone = Alone()
    admin, other, victim = alone.connect(), alone.connect(), alone.connect()
    admin.say("ACL SETUSER u on nopass ~* &* +@all")
    victim.say("AUTH u x")
    victim.say("SUBSCRIBE c")
    other.say("HELLO 3")
    asked = words.format(id=victim.session.id, addr=victim.session.address)
    node = alone.node
    node.sessions.command(admin.session, f"CLIENT KILL {asked}".encode().split(b" "))
    node.sessions.command(other.session, [b"CLIENT", b"LIST"])
    node.sessions.command(other.session, [b"PUBLISH", b"c", b"m"])
    alone.turn()
    assert admin.session.take() in (b"+OK\r\n", b":1\r\n")
    received = other.session.take()
    assert victim.session.address.encode() not in received and received.endswith(b":0\r\n")
    assert victim.session.take() == b"" and victim.session.closing
    node.close_session(victim.session)          # the driver says so when the socket is closed


@pytest.mark.parametrize("line", ["CLIENT KILL ID {id} SKIPME no", "CLIENT KILL {addr}", "QUIT"])
def test_who_leaves_is_gone_before_it_has_its_reply(line: str) -> None:
    alone = Alone()
    one, other = alone.connect(), alone.connect()
    said = line.format(id=one.session.id, addr=one.session.address)
    alone.node.sessions.command(one.session, said.encode().split(b" "))
    alone.node.sessions.command(other.session, [b"CLIENT", b"LIST"])
    alone.turn()
    assert one.session.take() in (b"+OK\r\n", b":1\r\n") and one.session.closing
    assert one.session.address.encode() not in other.session.take()
