"""What a real node says that it uses: data held, clients' buffers, and the limit on both."""

import re
import socket
import time

from tests.commands.real import Connection, encode
from tests.server.process import node

MB = 1 << 20


def info(client: Connection) -> dict[str, int]:
    """The fields of INFO memory that are bytes."""
    text = client.call(b"INFO", b"memory").decode()
    return {name: int(value) for name, value in re.findall(r"(\w+):(\d+)\r", text)}


def clients(client: Connection) -> dict[str, dict[str, str]]:
    """CLIENT LIST, by name."""
    text = client.call(b"CLIENT", b"LIST").decode().split("\r\n", 1)[1]
    rows = [dict(field.split("=", 1) for field in line.split()) for line in text.splitlines()]
    return {row["name"]: row for row in rows if row}


def named(port: int, name: bytes) -> socket.socket:
    """A raw connection with a name."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.sendall(encode([b"CLIENT", b"SETNAME", name]))
    assert connection.recv(100) == b"+OK\r\n"
    return connection


def until_so(is_so: object) -> None:
    assert callable(is_so)
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_used_memory_is_near_to_what_the_process_grows_by() -> None:
    with node("--engine=memory") as (_, port):
        client = Connection(port)
        before = info(client)
        assert before["used_memory"] <= before["used_memory_rss"] * 1.1
        assert before["used_memory_startup"] > 10 * MB
        for batch in range(30):
            client.talk(b"".join(
                encode([b"SET", b"key:%08d" % (1000 * batch + number), b"x" * 100])
                for number in range(1000)
            ), 1000)
        after = info(client)
        grown = after["used_memory"] - before["used_memory"]
        resident = after["used_memory_rss"] - before["used_memory_rss"]
        assert 0.6 * resident < grown < 1.4 * resident, (grown, resident)
        assert after["used_memory_dataset"] > 30_000 * 200
        client.call(b"FLUSHALL")
        emptied = info(client)
        assert emptied["used_memory"] < before["used_memory"] + MB
        assert emptied["used_memory_peak"] >= after["used_memory"]


def test_a_clients_buffers_are_shown_and_counted() -> None:
    with node("--engine=memory") as (_, port):
        client = Connection(port)
        client.call(b"CLIENT", b"SETNAME", b"me")
        client.call(b"SET", b"large", b"x" * MB)
        before = info(client)["used_memory"]
        half, deaf = named(port, b"half"), named(port, b"deaf")
        half.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000000\r\n" + b"y" * (3 * MB))
        until_so(lambda: int(clients(client)["half"]["qbuf"]) == 3 * MB + 4)
        deaf.sendall(encode([b"GET", b"large"]) * 30)
        until_so(lambda: int(clients(client)["deaf"]["omem"]) >= MB)
        rows = clients(client)
        assert rows["me"]["argv-mem"] == str(len(b"CLIENTLIST")) and rows["me"]["qbuf"] == "26"
        assert len({row["fd"] for row in rows.values()}) == 3 and int(rows["me"]["fd"]) > 2
        assert rows["half"]["omem"] == "0" and rows["deaf"]["events"] == "rw"
        for name, field in (("half", "qbuf"), ("deaf", "omem")):
            assert int(rows[name][field]) < int(rows[name]["tot-mem"]) < (
                int(rows[name][field]) + 20_000
            )
        assert info(client)["used_memory"] - before >= 4 * MB
        assert info(client)["mem_clients_normal"] >= 4 * MB
        half.close()
        deaf.close()
        until_so(lambda: info(client)["used_memory"] < before + MB // 2)


def test_maxmemory_is_met_to_the_megabyte() -> None:
    with node("--engine=memory") as (_, port):
        client = Connection(port)
        fields = info(client)
        startup = fields["used_memory_startup"]
        assert fields["used_memory"] - startup < MB < 20 * MB < startup
        limit = 20 * MB         # of data: what the process needs for itself does not count
        client.call(b"CONFIG", b"SET", b"maxmemory", b"%d" % limit)
        stored = 0
        while stored < 1000 and client.call(b"SET", b"k%d" % stored, b"z" * 100_000) == b"+OK\r\n":
            stored += 1
        assert 195 <= stored <= 225        # 20 MB of 100 kB
        assert abs(info(client)["used_memory"] - startup - limit) < MB
