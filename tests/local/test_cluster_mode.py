"""The cluster port has the words of a redis-server in cluster mode, and its replies' shapes."""

from collections.abc import Iterator
from typing import cast

import hiredis
import pytest

from tests.commands.alone import Alone, Client
from tests.commands.real import Connection, running
from tests.commands.test_like_redis import argv_of
from tests.server.process import free_port

STORIES = {
    "databases": "SELECT 0 / SELECT 1 / SELECT 16 / SELECT x / SELECT -1 / SELECT 99999999999",
    "modes": "READONLY / READWRITE / ASKING / READONLY x / ASKING x",
    "key slots": "CLUSTER KEYSLOT a / CLUSTER KEYSLOT {a}b / CLUSTER KEYSLOT / cluster keyslot {}a",
    "keys of slots": "CLUSTER COUNTKEYSINSLOT 0 / CLUSTER COUNTKEYSINSLOT 16384"
                     " / CLUSTER COUNTKEYSINSLOT -1 / CLUSTER COUNTKEYSINSLOT x"
                     " / CLUSTER GETKEYSINSLOT 0 10 / CLUSTER GETKEYSINSLOT 0 -1"
                     " / CLUSTER GETKEYSINSLOT 16384 x / CLUSTER GETKEYSINSLOT 16384 1"
                     " / CLUSTER GETKEYSINSLOT 0 / CLUSTER COUNTKEYSINSLOT"
                     " / SET a v / CLUSTER COUNTKEYSINSLOT 15495 / CLUSTER GETKEYSINSLOT 15495 1"
                     " / CLUSTER GETKEYSINSLOT 15495 0 / DEL a / CLUSTER COUNTKEYSINSLOT 15495",
    "other nodes": "CLUSTER COUNT-FAILURE-REPORTS x / CLUSTER LINKS / CLUSTER NOPE / CLUSTER",
    "info": "INFO cluster",
    "other databases": "SET a v / MOVE a 1 / MOVE a x / MOVE a 0 / COPY a b{a} DB 1"
                       " / COPY a b{a} DB 0 / COPY a b{a} DB x / COPY a b{a} DB 99 / MULTI"
                       " / MOVE a x / MOVE a 1 / COPY a b{a} DB 1 / EXEC / DEL a b{a}",
}
ALL_SLOTS = (b"CLUSTER", b"ADDSLOTSRANGE", b"0", b"16383")


@pytest.fixture(scope="module")
def clustered() -> Iterator[Connection]:
    """A cluster of one that has all slots."""
    # Its port for other nodes is else the client port + 10000, which may be too high.
    with running("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        connection = server.connect()
        assert connection.call(*ALL_SLOTS) == b"+OK\r\n"
        while b"cluster_state:ok" not in connection.call(b"CLUSTER", b"INFO"):
            pass
        yield connection


@pytest.fixture
def client() -> Client:
    return Alone().connect("cluster")


def parsed(reply: bytes) -> object:
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(reply)
    return reader.gets()


def shape(value: object) -> object:
    """The types in a reply, and the names in its maps."""
    if isinstance(value, list):
        return [shape(one) for one in value]
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return type(value).__name__


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(
    story: str, resp: int, clustered: Connection, client: Client
) -> None:
    for each in (clustered, client):
        each.call(b"HELLO", b"%d" % resp)
    for step in story.split(" / "):
        argv = argv_of(step)
        assert client.call(*argv) == clustered.call(*argv), step


@pytest.mark.parametrize("resp", [2, 3])
def test_maps_have_the_shape_of_redis(resp: int, clustered: Connection, client: Client) -> None:
    for each in (clustered, client):
        each.call(b"HELLO", b"%d" % resp)
    for name in (b"SLOTS", b"SHARDS", b"MYID", b"NODES", b"INFO"):
        mine, theirs = (parsed(each.call(b"CLUSTER", name)) for each in (client, clustered))
        assert shape(mine) == shape(theirs), name
    mine, theirs = (
        [line.split(":")[0] for line in cast(str, parsed(each.call(b"CLUSTER", b"INFO"))).split()]
        for each in (client, clustered)
    )
    assert mine == theirs
    mine, theirs = (
        cast(str, parsed(each.call(b"CLUSTER", b"NODES"))).split(" ")
        for each in (client, clustered)
    )
    assert len(mine) == len(theirs)
    assert mine[2:4] == theirs[2:4] == ["myself,master", "-"]
    assert mine[7:] == theirs[7:] == ["connected", "0-16383\n"]


def test_hello_and_info_say_cluster_here_and_standalone_on_the_client_port() -> None:
    alone = Alone()
    for listener, mode, enabled, port in (
        ("cluster", b"cluster", b"1", b"7379"), ("client", b"standalone", b"0", b"6379"),
    ):
        client = alone.connect(listener)
        assert b"mode\r\n$%d\r\n%b\r\n" % (len(mode), mode) in client.say("HELLO 2")
        info = client.say("INFO")
        assert b"\r\nredis_mode:%b\r\n" % mode in info
        assert b"\r\ncluster_enabled:%b\r\n" % enabled in info
        assert b"\r\ntcp_port:%b\r\n" % port in info


def test_a_shard_is_a_node(client: Client) -> None:
    assert client.say("CLUSTER MYSHARDID") == client.say("CLUSTER MYID")


def test_the_map_is_refused_while_there_is_no_ring() -> None:
    alone = Alone(seeds=("10.0.0.9:16379",), cluster_size=3, n=3)
    client = alone.connect("cluster")
    assert client.say("CLUSTER SLOTS") == b""           # it waits for the others, but not for ever
    alone.now_ms += 3000
    alone.turn()
    assert client.session.take().startswith(b"-CLUSTERDOWN ")
    for command in ("SLOTS", "SHARDS", "NODES"):
        assert client.say(f"CLUSTER {command}").startswith(b"-CLUSTERDOWN ")
    assert b"cluster_state:fail\r\ncluster_slots_assigned:0\r\n" in client.say("CLUSTER INFO")
    assert client.say("CLUSTER KEYSLOT a") == b":15495\r\n"
