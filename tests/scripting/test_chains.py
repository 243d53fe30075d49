"""Scripts that wait for the same keys run one behind the other, on one read and with one write."""

import pytest

from respdyn.causal.dot import intern_actor
from respdyn.commands.table import lookup
from respdyn.node import Node
from respdyn.ring.hashing import locator
from respdyn.scripting.job import Batch, read_batch
from tests.little import START_MS, Client, Little
from tests.scripting.test_scripts import COUNT

ADD = (
    "local n = redis.call('incr', KEYS[1]) redis.call('append', KEYS[2], ARGV[1])"
    " if ARGV[2] == 'fail' then error('oops') end"
    " if ARGV[2] == 'want' then redis.call('incr', 'undeclared') end return n"
)


def batches(little: Little, name: str) -> list[Batch]:
    """What a node hands to its script process from now on."""
    machine = little.machines[ord(name) - 65]
    found: list[Batch] = []
    submit = machine.scripts.submit

    def noted(frame: bytes) -> None:
        found.append(read_batch(frame))
        submit(frame)

    machine.scripts.submit = noted      # type: ignore[method-assign]
    return found


def log_of(key: str) -> str:
    """A key of the same slot."""
    return f"{{{key}}}log"


def repair(node: Node, key: str) -> None:
    """A peer sends what this node had not seen: a SET by a node that is gone."""
    argv, name = [b"SET", key.encode(), b"!"], locator(0, key.encode())
    stamp, replica = (intern_actor(bytes(15) + b"x"), 1, 0, 1 << 60), node.replica
    _, delta = lookup(argv).write(argv, replica.get(name), START_MS, False, stamp)
    replica.join(name, delta)


def send(little: Little, node: str, key: str, words: list[str], script: str = ADD) -> list[Client]:
    """One client for each word, all before anything is answered."""
    clients = [little.client(node) for _ in words]
    for index, (client, word) in enumerate(zip(clients, words, strict=True)):
        client.send("EVAL", script, 2, key, log_of(key), chr(97 + index), word)
    return clients


@pytest.mark.parametrize("count", [1, 3])
def test_those_in_line_are_handed_over_together(count: int) -> None:
    little = Little(count).ready()
    key, found = little.key_of("A"), batches(little, "A")
    clients = send(little, "A", key, [""] * 20)
    assert [client.receive() for client in clients] == [*range(1, 21)]
    assert [1 + len(job.rest) for batch in found for job in batch.jobs] == [1, 19]
    for name in "ABC"[:count]:
        assert little.client(name)("GET", log_of(key)) == b"abcdefghijklmnopqrst"
    assert little["A"].counters.scripts_run == 20


@pytest.mark.parametrize("word", ["fail", "want"])
def test_one_that_fails_or_waits_leaves_the_others_what_they_are_to_have(word: str) -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    clients = send(little, "A", key, ["", "", word, "", word, ""])
    replies = [client.receive() for client in clients]
    expected = [1, 2, 3, 4, 5, 6]
    if word == "fail":
        assert all("oops" in str(replies.pop(at)) for at in (4, 2))
        expected = [1, 2, 4, 6]
    assert sorted(replies) == expected      # type: ignore[type-var]
    log = little.client("B")("GET", log_of(key))
    assert isinstance(log, bytes) and sorted(log) == sorted(b"abcdef")


def test_a_plain_command_in_line_keeps_its_place() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    client = little.client("A")
    for _ in range(3):
        client.send("EVAL", COUNT, 1, key)
    client.send("INCRBY", key, 10)
    for _ in range(3):
        client.send("EVAL", COUNT, 1, key)
    assert [client.receive() for _ in range(7)] == [1, 2, 3, 13, 14, 15, 16]


@pytest.mark.parametrize("at", range(5))
def test_who_is_at_hand_when_the_process_dies_is_the_only_one_that_fails(at: int) -> None:
    little = Little(1).ready()
    machine = little.machines[0]
    first = little.client("A")
    first.send("EVAL", COUNT, 1, "k")
    clients = [little.client("A") for _ in range(5)]
    for client in clients:
        client.send("EVAL", COUNT, 1, "k")
    machine.node.drain()                            # the first is in the process
    machine.node.scripts.receive(machine.scripts.take()[0])
    machine.node.drain()                            # and the others, as one chain
    machine.scripts.die()
    machine.node.scripts.died(2 + at, "signal 11")
    replies = [client.receive() for client in clients]
    assert str(replies.pop(at)).startswith("ERR the script process ended while it ran this")
    assert first.receive() == 1
    assert sorted(replies) == [2, 3, 4, 5]          # type: ignore[type-var]
    assert first("GET", "k") == b"5"


@pytest.mark.parametrize("at", range(4))
def test_one_that_is_stopped_leaves_nothing_and_the_others_run(at: int) -> None:
    little = Little(1).ready()
    script = "redis.call('append', KEYS[1], ARGV[1]) while ARGV[2] == 'stop' do end return 1"
    words = ["", "", "", "", ""]
    words[at] = "stop"
    clients = send(little, "A", "k", words, script)
    replies = [client.receive() for client in clients]
    assert "TIMEOUT" in str(replies.pop(at))
    assert replies == [1, 1, 1, 1]
    log = little.client("A")("GET", "k")
    assert isinstance(log, bytes)
    assert sorted(log) == sorted(b"abcde".replace(b"abcde"[at : at + 1], b""))


def test_a_record_that_changes_under_a_chain_makes_all_of_it_run_again() -> None:
    little, key = Little(1).ready(), "k"
    clients = send(little, "A", key, [""] * 6)
    machine = little.machines[0]
    node, take = machine.node, machine.scripts.take
    machine.scripts.take = (                        # type: ignore[method-assign]
        lambda: [] if node.counters.scripts_run else take()
    )
    little.until(lambda: node.counters.scripts_run == 1)
    little.run(5)                           # the others are in the process, as one chain
    machine.scripts.take = take                     # type: ignore[method-assign]
    log = log_of(key)
    repair(node, log)
    assert [client.receive() for client in clients] == [1, 2, 3, 4, 5, 6]
    found = little.client("A")("GET", log)
    assert isinstance(found, bytes) and found.endswith(b"bcdef")
    assert node.counters.scripts_begun_again == 1


def test_a_pipeline_of_scripts_on_several_keys_is_not_one_after_the_other() -> None:
    little = Little(3).ready()
    client, found = little.client("A"), batches(little, "A")
    sha = client("SCRIPT", "LOAD", COUNT)
    keys = [little.key_of("A", f"{number}:") for number in range(20)]
    client("EVALSHA", sha, 1, keys[0])
    del found[:]
    for key in [*keys, keys[0], keys[5]]:
        client.send("EVALSHA", sha, 1, key)
    client.send("GET", keys[19])
    assert [client.receive() for _ in range(23)] == [2, *[1] * 19, 3, 2, b"1"]
    jobs = [len(batch.jobs) for batch in found if batch.jobs]
    assert jobs[0] == 20 and len(jobs) == 2


def test_a_script_that_may_use_what_the_next_declares_is_waited_for() -> None:
    little = Little(1).ready()
    client = little.client("A")
    sha = client("SCRIPT", "LOAD", "if ARGV[1] then redis.call('incr', ARGV[1]) end"
                                   " return redis.call('incr', KEYS[1])")
    assert client("EVALSHA", sha, 1, "a") == 1
    assert client("EVALSHA", sha, 1, "a", "b") == 2         # from now on it is known
    for words in (("a", "b"), ("b",), ("a", "c"), ("c",)):
        client.send("EVALSHA", sha, 1, *words)
    assert [client.receive() for _ in range(4)] == [3, 3, 4, 2]
