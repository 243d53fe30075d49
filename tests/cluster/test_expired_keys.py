"""A read that meets an expired value counts it out: DBSIZE, INFO keyspace and expired_keys."""

from tests.little import Client, Little


def info(client: Client, section: str) -> dict[str, str]:
    text = client("INFO", section)
    return dict(line.split(":", 1) for line in text.decode().split("\r\n") if ":" in line)


def expired(client: Client) -> int:
    return int(info(client, "stats")["expired_keys"])


def with_expired_key(little: Little) -> Client:
    """A client at a node that coordinates a key which has just expired."""
    client = little.client("A")
    assert client("SET", little.key_of("A"), "v", "PX", "20") == b"OK"
    little.run(30)
    return client


def test_a_read_takes_an_expired_key_out_of_the_count_once() -> None:
    for nodes in (1, 3):
        little = Little(nodes).ready()
        client, key = with_expired_key(little), little.key_of("A")
        assert client("DBSIZE") == 1 and expired(client) == 0
        for _ in range(2):
            assert client("GET", key) is None
            assert client("DBSIZE") == 0 and expired(client) == 1
            assert "db0" not in info(client, "keyspace")


def test_every_command_that_reads_counts_it_out() -> None:
    for command in ("EXISTS", "TTL", "STRLEN", "TYPE"):
        little = Little(1).ready()
        client, key = with_expired_key(little), little.key_of("A")
        client(command, key)
        assert client("DBSIZE") == 0 and expired(client) == 1, command


def test_a_key_that_is_written_again_counts_again() -> None:
    little = Little(1).ready()
    client, key = with_expired_key(little), little.key_of("A")
    assert client("GET", key) is None
    assert client("SET", key, "new", "PX", "20") == b"OK"
    assert client("DBSIZE") == 1 and expired(client) == 1
    little.run(30)
    assert client("GET", key) is None
    assert client("DBSIZE") == 0 and expired(client) == 2


def test_each_expiry_of_a_key_counts_although_no_client_asks_in_between() -> None:
    little = Little(1).ready()
    for _ in range(3):
        client = with_expired_key(little)
        assert client("GET", little.key_of("A")) is None
    assert expired(client) == 3


def test_what_is_dropped_afterwards_is_not_counted_twice() -> None:
    little = Little(3).ready()
    client, key = with_expired_key(little), little.key_of("A")
    assert client("GET", key) is None
    little.run(10_000)
    assert little["A"].replica.records == 0
    assert client("DBSIZE") == 0 and expired(client) == 1
