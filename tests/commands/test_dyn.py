"""Dynamo's own commands: contexts say what was read, and only that is replaced or removed."""

import hiredis
import pytest

from respdyn.cluster.terms import Terms
from respdyn.commands.dyn import split_terms
from respdyn.coordination.consistency import TIMEOUT_MS_MAX, parse_terms
from respdyn.errors import ReplyError
from tests.commands.alone import Alone
from tests.commands.executor import Executor

NOW_MS = 1_700_000_000_000


def parsed(reply: bytes) -> object:
    reader = hiredis.Reader()
    reader.feed(reply)
    return reader.gets()


@pytest.fixture
def server() -> Executor:
    return Executor(NOW_MS)


def read(server: Executor, key: bytes = b"k") -> tuple[bytes, list[bytes]]:
    reply = parsed(server(b"DYN.GETCTX", key))
    assert isinstance(reply, list)
    context, values = reply
    return context, values


def test_an_unknown_key_has_the_empty_context(server: Executor) -> None:
    assert server(b"DYN.GETCTX", b"k") == b"*2\r\n$0\r\n\r\n*0\r\n"


def test_blind_writes_are_siblings_and_the_winner_is_what_get_shows(server: Executor) -> None:
    server(b"DYN.PUTCTX", b"k", b"", b"one")
    server(b"DYN.PUTCTX", b"k", b"", b"two")
    context, values = read(server)
    assert values == [b"two", b"one"]
    assert server(b"GET", b"k") == b"$3\r\ntwo\r\n"
    assert context.isalnum() or b"-" in context or b"_" in context


def test_a_write_with_the_context_replaces_what_was_read(server: Executor) -> None:
    server(b"DYN.PUTCTX", b"k", b"", b"one")
    server(b"DYN.PUTCTX", b"k", b"", b"two")
    context, _ = read(server)
    server(b"DYN.PUTCTX", b"k", b"", b"unseen")
    new = parsed(server(b"DYN.PUTCTX", b"k", context, b"merged"))
    assert sorted(read(server)[1]) == [b"merged", b"unseen"]
    assert isinstance(new, bytes)
    # The new context is what the client has seen: it never covers what it has not.
    server(b"DYN.PUTCTX", b"k", new, b"again")
    assert sorted(read(server)[1]) == [b"again", b"unseen"]


def test_a_new_value_wins_over_all_that_is_there(server: Executor) -> None:
    server(b"DYN.PUTCTX", b"k", b"", b"from the future")
    server.now_ms -= 10_000
    server(b"DYN.PUTCTX", b"k", b"", b"latest")
    assert read(server)[1][0] == b"latest"


def test_delctx_removes_what_was_read_and_nothing_else(server: Executor) -> None:
    server(b"DYN.PUTCTX", b"k", b"", b"one")
    context, _ = read(server)
    server(b"DYN.PUTCTX", b"k", b"", b"two")
    assert parsed(server(b"DYN.DELCTX", b"k", context)) == context
    assert read(server)[1] == [b"two"]
    context, _ = read(server)
    server(b"DYN.DELCTX", b"k", context)
    assert read(server) == (context, [])
    assert server(b"EXISTS", b"k") == b":0\r\n"


def test_place_stores_as_set_does(server: Executor) -> None:
    assert server(b"DYN.PLACE", b"k", b"v", b"RENAME_TO", b"PXAT", b"5000000000000") == b"+OK\r\n"
    assert server(b"GET", b"k") == b"$1\r\nv\r\n"
    assert server(b"PEXPIRETIME", b"k") == b":5000000000000\r\n"
    assert server(b"DYN.PLACE", b"k", b"w", b"COPY_TO", b"NX") == b"$-1\r\n"
    assert server(b"GET", b"k") == b"$1\r\nv\r\n"
    assert server(b"DYN.PLACE", b"k", b"w", b"expired") == b"-ERR syntax error\r\n"


def test_take_removes_what_was_read_and_nothing_else(server: Executor) -> None:
    server(b"SET", b"k", b"v")
    context, _ = read(server)
    server(b"DYN.PUTCTX", b"k", b"", b"w")
    assert parsed(server(b"DYN.TAKE", b"k", context, b"MOVE_FROM")) == context
    assert read(server)[1] == [b"w"]
    assert server(b"DYN.TAKE", b"k", context, b"del") == b"-ERR syntax error\r\n"


def test_delctx_of_nothing_changes_nothing(server: Executor) -> None:
    server(b"SET", b"k", b"v")
    assert server(b"DYN.DELCTX", b"k", b"") == b"$0\r\n\r\n"
    assert server(b"GET", b"k") == b"$1\r\nv\r\n"


def test_cas_succeeds_only_while_nothing_happened(server: Executor) -> None:
    assert parsed(server(b"DYN.CAS", b"k", b"", b"first")) is not None
    assert server(b"DYN.CAS", b"k", b"", b"second") == b"$-1\r\n"
    context, _ = read(server)
    new = parsed(server(b"DYN.CAS", b"k", context, b"second"))
    assert isinstance(new, bytes)
    assert server(b"DYN.CAS", b"k", context, b"third") == b"$-1\r\n"
    assert parsed(server(b"DYN.CAS", b"k", new, b"third")) is not None
    assert read(server)[1] == [b"third"]
    server.resp3 = True
    assert server(b"DYN.CAS", b"k", new, b"fourth") == b"_\r\n"


def test_cas_counts_a_deletion_and_an_expiry_as_something_that_happened(server: Executor) -> None:
    server(b"SET", b"k", b"v")
    context, _ = read(server)
    server(b"DEL", b"k")
    server(b"SET", b"k", b"v")
    assert server(b"DYN.CAS", b"k", context, b"w") == b"$-1\r\n"
    context, _ = read(server)
    server(b"EXPIRE", b"k", b"100")
    assert server(b"DYN.CAS", b"k", context, b"w") == b"$-1\r\n"


def test_cas_with_a_context_ahead_of_this_replica_loses_nothing(server: Executor) -> None:
    """The client has seen a write that this node has not: what it covers stays covered."""
    server(b"SET", b"k", b"v")
    behind = dict(server.records)
    server(b"SET", b"k", b"w")
    context, _ = read(server)
    server.records = behind
    assert parsed(server(b"DYN.CAS", b"k", context, b"x")) is not None
    assert read(server)[1] == [b"x"]


@pytest.mark.parametrize("command", [
    [b"DYN.PUTCTX", b"k", b"%s", b"v"], [b"DYN.DELCTX", b"k", b"%s"],
    [b"DYN.CAS", b"k", b"%s", b"v"],
])
def test_a_token_that_is_not_of_this_key_is_refused(
    command: list[bytes], server: Executor
) -> None:
    server(b"SET", b"k", b"v")
    server(b"SET", b"other", b"v")
    good, _ = read(server)
    foreign, _ = read(server, b"other")
    damaged = bytes([good[0] ^ 1]) + good[1:]
    before = dict(server.records)
    for token in (foreign, damaged, good[:-1], b"nonsense", b"\xff", b"\r\n", good + b"="):
        argv = [word.replace(b"%s", token) for word in command]
        reply = server(*argv)
        assert reply.startswith(b"-BADCTX ") and reply.count(b"\r\n") == 1
    assert server.records == before


def test_putctx_takes_a_time_to_live(server: Executor) -> None:
    server(b"DYN.PUTCTX", b"k", b"", b"v", b"EX", b"100")
    assert server(b"TTL", b"k") == b":100\r\n"
    server(b"DYN.PUTCTX", b"p", b"", b"v", b"px", b"1500")
    assert server(b"PTTL", b"p") == b":1500\r\n"
    for wrong, text in (
        ([b"EX", b"0"], b"-ERR invalid expire time in 'dyn.putctx' command\r\n"),
        ([b"EX", b"x"], b"-ERR value is not an integer or out of range\r\n"),
        ([b"EX"], b"-ERR syntax error\r\n"),
        ([b"EX", b"1", b"PX", b"1"], b"-ERR syntax error\r\n"),
        ([b"NX"], b"-ERR syntax error\r\n"),
    ):
        assert server(b"DYN.PUTCTX", b"k", b"", b"v", *wrong) == text



def four_terms(terms: Terms) -> tuple[int, int, bool, int]:
    return terms.r, terms.w, terms.sloppy, terms.timeout_ms


NOW = Terms(2, 2, True, 2000)


@pytest.mark.parametrize(("words", "n", "expected"), [
    ("R 1", 3, (1, 2, True, 2000)),
    ("R ONE W all", 3, (1, 3, True, 2000)),
    ("r quorum W ONE", 5, (3, 1, True, 2000)),
    ("SLOPPY no TIMEOUT 50", 3, (2, 2, False, 50)),
    ("sloppy YES R 1 R 3", 3, (3, 2, True, 2000)),
    ("", 3, (2, 2, True, 2000)),
])
def test_terms_are_read(words: str, n: int, expected: tuple[int, int, bool, int]) -> None:
    terms, rest = parse_terms([*words.encode().split(), b"GET", b"k"], NOW, n)
    assert four_terms(terms) == expected
    assert rest == [b"GET", b"k"]
    assert four_terms(NOW) == (2, 2, True, 2000)


@pytest.mark.parametrize(("words", "text"), [
    ("R 0", "ERR R must be ONE, QUORUM, ALL or a number from 1 to 3"),
    ("W 4", "ERR W must be ONE, QUORUM, ALL or a number from 1 to 3"),
    ("W 01", "ERR W must be"),
    ("SLOPPY maybe", "ERR SLOPPY must be yes or no, not 'maybe'"),
    ("TIMEOUT 0", "ERR TIMEOUT must be a number of milliseconds from 1 to"),
    (f"TIMEOUT {TIMEOUT_MS_MAX + 1}", "ERR TIMEOUT must be"),
    ("R", "ERR R needs a value"),
])
def test_terms_that_cannot_be_are_explained(words: str, text: str) -> None:
    with pytest.raises(ReplyError) as wrong:
        parse_terms(words.encode().split(), NOW, 3)
    assert wrong.value.text.startswith(text)


def test_terms_end_at_the_first_other_word() -> None:
    assert split_terms([b"R", b"1", b"GET", b"R", b"1"]) == (
        [(b"R", b"1")], [b"GET", b"R", b"1"]
    )


def test_dyn_consistency_sets_and_shows_the_terms_of_the_connection() -> None:
    alone = Alone()
    client, other = alone.connect(), alone.connect()
    flat = parsed(client.say("DYN.CONSISTENCY"))
    assert flat == [b"n", 1, b"r", 1, b"w", 1, b"sloppy", b"yes", b"timeout", 2000]
    assert client.say("DYN.CONSISTENCY SLOPPY no TIMEOUT 70 R ALL") == b"+OK\r\n"
    assert parsed(client.say("DYN.CONSISTENCY"))[-3:] == [b"no", b"timeout", 70]  # type: ignore[index]
    assert parsed(other.say("DYN.CONSISTENCY")) == flat
    assert client.say("DYN.CONSISTENCY W 2").startswith(b"-ERR W must be")
    assert client.say("DYN.CONSISTENCY nope") == (
        b"-ERR DYN.CONSISTENCY knows R, W, SLOPPY and TIMEOUT, not 'nope'\r\n"
    )
    client.say("RESET")
    assert parsed(client.say("DYN.CONSISTENCY")) == flat
    client.say("HELLO 3")
    assert client.say("DYN.CONSISTENCY").startswith(b"%5\r\n")


def test_dyn_with_runs_the_command_under_its_terms() -> None:
    client = Alone().connect()
    assert client.say("DYN.WITH R ONE W ALL SET k v") == b"+OK\r\n"
    assert client.say("DYN.WITH TIMEOUT 100 MGET k no") == b"*2\r\n$1\r\nv\r\n$-1\r\n"
    assert client.call(*[b"DYN.WITH"] * 100_000) == b"-ERR DYN.WITH cannot be nested\r\n"
    assert client.say("DYN.WITH R 1 dyn.with W 1 GET k").startswith(b"-ERR DYN.WITH cannot")
    assert client.say("DYN.WITH R 1 PING") == b"+PONG\r\n"
    assert client.say("DYN.WITH R 1").startswith(b"-ERR ")
    assert client.say("DYN.WITH R 1 GET").startswith(b"-ERR wrong number of arguments for 'get'")
    assert client.say("DYN.WITH R 1 NOPE x") == (
        b"-ERR unknown command 'NOPE', with args beginning with: 'x' \r\n"
    )


def test_explain_and_cluster_answer_on_a_node_alone() -> None:
    """Their substance is tested with the cluster; here, that they are reached by name."""
    client = Alone().connect()
    for line in ("DYN.EXPLAIN k", "DYN.CLUSTER STATUS", "DYN.CLUSTER MEMBERS", "DYN.CLUSTER RING",
                 "DYN.CLUSTER VERIFY", "DYN.CLUSTER REPAIR",
                 "RANDOMKEY"):
        assert not client.say(line).startswith(b"-"), line
    assert client.say("DYN.SYNCWAIT 0") == b":1\r\n"
    assert client.say("DYN.SYNCWAIT -1").startswith(b"-ERR the time to wait must be 0 to 3600000")
    assert client.say("DYN.CLUSTER nope") == (
        b"-ERR unknown subcommand 'nope'. Try DYN.CLUSTER HELP.\r\n"
    )
