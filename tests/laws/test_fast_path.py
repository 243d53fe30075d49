"""Any bytes, cut anywhere: a client is answered alike with the fast path and without it."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as some

from respdyn.config import Settings
from respdyn.node import Node
from respdyn.resp.replies import bulks
from respdyn.resp.requests import ProtocolError, RequestLimits, RequestReader
from tests.commands.alone import WALL_MS, Dice, Silence
from tests.sim.long_way import LongWay

KEYS = [b"a", b"b", b"{a}b", b"{", b"c{}d", b"", b"key:000000000007", b"\r\n", b"$1\r\n"]
VALUES = [b"", b"v", b"1", b"x\r\ny", b"x" * 9, b"x" * 10, b"x" * 99, b"x" * 100, b"x" * 1005]

plain = some.one_of(
    some.tuples(some.sampled_from([b"GET", b"get", b"Get"]), some.sampled_from(KEYS)),
    some.tuples(
        some.sampled_from([b"SET", b"set", b"sEt"]), some.sampled_from(KEYS),
        some.sampled_from(VALUES),
    ),
).map(bulks)
others = some.sampled_from([
    b"SET a 1 PX 20", b"SET a 5 PX 100000", b"INCR a", b"DEL a", b"PING", b"EXPIRE a 100", b"GET",
    b"SET a", b"SET a b NX", b"MGET a b", b"DBSIZE", b"CLIENT REPLY SKIP", b"SELECT 1", b"SELECT 0",
    b"HELLO 3", b"HELLO 2", b"MULTI", b"EXEC", b"WATCH a", b"SADD b m", b"DYN.PUTCTX a \"\" z",
    b"GET a", b"set b inline", b"", b"nonsense", b"CLIENT TRACKING ON", b"WAIT 0 0", b"MONITOR",
]).map(lambda line: line + b"\r\n")
odd = some.sampled_from([
    b"*2\r\n$03\r\nGET\r\n$1\r\na\r\n", b"*2\r\n$3\r\nGET\r\n$01\r\na\r\n", b"*0\r\n", b"*-1\r\n",
    b"*2\r\n$3\r\nGETxx$1\r\nayy", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nab\rX", b"\r\n", b"*3\r\n",
    b"*2\r\n$3\r\nGET\r\n$-1\r\n", b"*2\r\n$3\r\nGET\r\n$\r\n", b"*2\r\n$3\r\nGET\r\n#1\r\na\r\n",
    b"*2\n$3\r\nGET\r\n$1\r\na\r\n", b"*2\r\n$3\r\nGET\r\n$100000\r\na\r\n", b"*1\r\n$3\r\nGET\r\n",
    b"*4\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\nNX\r\n", b"*2\r\n$3\r\nSET\r\n$1\r\na\r\n",
])
inputs = some.lists(
    some.one_of(plain, plain, plain, others, odd, some.binary(max_size=6)), max_size=24,
)


class Clock:
    """Of the driver, in ns. Each look at it takes `step`."""

    def __init__(self, step: int) -> None:
        self.now = 0
        self.step = step

    def __call__(self) -> int:
        self.now += self.step
        return self.now


def outcomes(kind: type[Node], pieces: list[bytes], step: int) -> Iterator[object]:
    """What clients receive and what is kept, turn by turn; all accounts in the end."""
    node = kind(
        Settings(
            host="127.0.0.1", client_port=6379, cluster_port=7379, peer_port=16379, n=1,
            engine="memory", slowlog_us=2000, latency_ms=3, max_inflight=50,
        ), Dice(), Silence(),
    )
    node.start(1000, WALL_MS)
    node.sessions.command_stats.clock_ns = Clock(step)
    reader = RequestReader(RequestLimits(), True)
    session = node.open_session("127.0.0.1:5", "127.0.0.1:6379", "client", None)
    for number, piece in enumerate(pieces):
        node.advance(1000 + 10 * number, WALL_MS + 10 * number)
        reader.feed(piece)
        wrong = ""
        try:
            while node.serve(session, reader, 1000, 1 << 30):
                pass
        except ProtocolError as error:
            wrong = error.text
        out = node.drain()
        if out.generation:
            node.durable(out.generation)
        yield session.take(), out.batch, wrong, session.last_command, session.closing
        if wrong:
            break
    stats = node.sessions.command_stats
    yield node.replica.slots
    yield node.replica.stale
    yield node.replica.bytes, node.replica.records, node.replica.keys(0), node.clock.last
    yield vars(node.counters)
    yield node.identity.counter, session.last_writes, session.last_ms
    yield {command.name: count for command, count in stats.calls.items()}
    yield {c.name: (cost.timed, cost.failed, cost.rejected) for c, cost in stats.costs.items()}
    yield [(one.argv, one.took_us, one.when_s, one.number) for one in stats.slow]
    yield {name: list(event.samples) for name, event in stats.events.items()}


@settings(deadline=None)
@given(inputs, some.lists(some.integers(0, 4000), max_size=12))
def test_any_bytes_cut_anywhere(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[at:end] for at, end in pairwise(edges)]
    assert list(outcomes(Node, pieces, 0)) == list(outcomes(LongWay, pieces, 0))


@settings(deadline=None)
@given(some.lists(some.one_of(plain, others), max_size=12), some.integers(0, 5_000_000))
def test_one_at_a_time_the_slow_ones_are_noted(parts: list[bytes], step_ns: int) -> None:
    assert list(outcomes(Node, parts, step_ns)) == list(outcomes(LongWay, parts, step_ns))
