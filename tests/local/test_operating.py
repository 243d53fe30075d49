"""What operators ask of a node: slow commands, times, memory's limit, and Redis's replication."""

import re
import tomllib
from collections.abc import Callable

import pytest

from respdyn.config import Settings, load
from respdyn.config_view import change, rewritten
from respdyn.host import HostError, NoHost
from tests.commands.alone import WALL_MS, Alone, Client
from tests.commands.real import Connection, running
from tests.commands.test_like_redis import argv_of
from tests.little import Little

STORIES = {
    "role": "ROLE / ROLE x / LASTSAVE x / REPLICAOF NO ONE / replicaof no one / SLAVEOF NO ONE"
            " / REPLICAOF / REPLICAOF a / SLAVEOF a / FAILOVER ABORT / PSYNC / SYNC x / MODULE LIST"
            " / MODULE LIST x / MODULE nope / MODULE",
    "save": "BGSAVE x / BGSAVE a b / SAVE x / BGREWRITEAOF x / SHUTDOWN x / SHUTDOWN ABORT"
            " / SHUTDOWN NOSAVE SAVE / SHUTDOWN NOSAVE x / SHUTDOWN ABORT NOW",
    "lolwut": "LOLWUT VERSION x / LOLWUT VERSION x 1 / LOLWUT version 1.5 / LOLWUT VERSION 5 x"
              " / LOLWUT VERSION 5 1 1 x / LOLWUT VERSION 6 1 x"
              " / LOLWUT VERSION 99999999999999999999",
    "slowlog": "SLOWLOG LEN / SLOWLOG GET x / SLOWLOG GET -2 / SLOWLOG GET / SLOWLOG GET 1 2"
               " / SLOWLOG RESET / SLOWLOG LEN x / SLOWLOG / SLOWLOG nope / SLOWLOG GET -1",
    "latency": "LATENCY LATEST / LATENCY HISTORY x / LATENCY HISTORY / LATENCY RESET"
               " / LATENCY RESET x y / LATENCY GRAPH x / LATENCY GRAPH / LATENCY nope"
               " / LATENCY HISTOGRAM nope",
    "no functions": "FUNCTION FLUSH / FUNCTION FLUSH async / FUNCTION FLUSH x"
                    " / FUNCTION FLUSH SYNC x / FUNCTION LIST / FUNCTION LIST x"
                    " / FUNCTION LIST WITHCODE LIBRARYNAME x"
                    " / FUNCTION LIST LIBRARYNAME / FUNCTION LIST WITHCODE WITHCODE"
                    " / FUNCTION STATS / FUNCTION STATS x / FUNCTION DUMP / FUNCTION DELETE x"
                    " / FUNCTION KILL / FUNCTION / FUNCTION NOPE / FUNCTION DELETE",
    "no scripts": "SCRIPT FLUSH / SCRIPT FLUSH SYNC / SCRIPT FLUSH x / SCRIPT FLUSH SYNC x"
                  " / SCRIPT EXISTS a / SCRIPT EXISTS a b / SCRIPT EXISTS / SCRIPT KILL / SCRIPT",
    "rewrite": "CONFIG REWRITE / CONFIG REWRITE x",
    "getkeysandflags":
        "COMMAND GETKEYSANDFLAGS SET a b / COMMAND GETKEYSANDFLAGS SET a b GET"
        " / COMMAND GETKEYSANDFLAGS MSET a b c d / COMMAND GETKEYSANDFLAGS BITOP AND a b c"
        " / COMMAND GETKEYSANDFLAGS PING / COMMAND GETKEYSANDFLAGS PING x"
        " / COMMAND GETKEYSANDFLAGS NOPE x / COMMAND GETKEYS SSUBSCRIBE a"
        " / COMMAND GETKEYS SPUBLISH a b"
        " / COMMAND GETKEYSANDFLAGS SSUBSCRIBE a / COMMAND GETKEYSANDFLAGS GET a b"
        " / COMMAND GETKEYSANDFLAGS COPY a b / COMMAND GETKEYSANDFLAGS BITFIELD a GET u8 0"
        " / COMMAND GETKEYSANDFLAGS BITFIELD a SET u8 0 1 / COMMAND GETKEYSANDFLAGS DEL a b",
    "settings": "CONFIG SET maxmemory 100mb / CONFIG GET maxmemory / CONFIG SET maxmemory 0"
                " / CONFIG SET maxmemory x / CONFIG SET slowlog-max-len 5"
                " / CONFIG GET slowlog-max-len"
                " / CONFIG SET slowlog-log-slower-than -1 / CONFIG GET slowlog-log-slower-than"
                " / CONFIG SET slowlog-log-slower-than 10000 / CONFIG SET slowlog-max-len 128"
                " / CONFIG SET client-output-buffer-limit a / CONFIG SET client-output-buffer-limit"
                " zz\\x201\\x202\\x203 / CONFIG SET latency-monitor-threshold 100"
                " / CONFIG GET latency-monitor-threshold / CONFIG SET latency-monitor-threshold 0",
}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(story: str, resp: int) -> None:
    client = Alone().connect()
    with running() as server:
        theirs = server.connect()
        for each in (client, theirs):
            each.call(b"HELLO", b"%d" % resp)
        for step in story.split(" / "):
            argv = argv_of(step)
            assert client.call(*argv) == theirs.call(*argv), step


@pytest.mark.parametrize("line", [
    "REPLICAOF 127.0.0.1 6379", "SLAVEOF 127.0.0.1 6379", "PSYNC ? -1", "SYNC",
    "REPLCONF capa eof", "FAILOVER", "FAILOVER TO a 1",
])
def test_replication_of_redis_is_refused_with_a_reason(line: str) -> None:
    assert Alone().connect().say(line).startswith(b"-ERR respdyn ")


def test_lolwut_draws_the_ring() -> None:
    assert Alone().connect().say("LOLWUT").count(b"#") == 256


# ---- times ----


def later(alone: Alone, ms: int) -> None:
    """Time passes."""
    alone.now_ms += ms
    alone.wall_ms += ms
    alone.turn()


class Watch:
    """A clock that a test moves."""

    def __init__(self, alone: Alone) -> None:
        self.us = 0
        self.step = 0       # microseconds between one look and the next
        alone.node.sessions.command_stats.clock_ns = self

    def __call__(self) -> int:
        self.us += self.step
        return 1000 * self.us


def test_slow_commands_are_kept_with_their_words() -> None:
    alone = Alone()
    client, watch = alone.connect(), Watch(alone)
    later(alone, 1)
    client.say("CLIENT SETNAME me")
    watch.step = 20_000
    client.say("EXISTS a")
    client.say("GET a")
    watch.step = 9_999
    client.say("EXISTS b")
    client.say("GET b")
    assert client.say("SLOWLOG LEN") == b":2\r\n"
    address = client.session.address.encode()
    entry = b"*6\r\n:%d\r\n:%d\r\n:20000\r\n*2\r\n%b$%d\r\n%b\r\n$2\r\nme\r\n"
    assert client.say("SLOWLOG GET") == b"*2\r\n" + entry % (
        1, WALL_MS // 1000, b"$3\r\nGET\r\n$1\r\na\r\n", len(address), address
    ) + entry % (0, WALL_MS // 1000, b"$6\r\nEXISTS\r\n$1\r\na\r\n", len(address), address)
    assert client.say("SLOWLOG GET 1").startswith(b"*1\r\n*6\r\n:1\r\n")
    client.say("SLOWLOG RESET")
    assert client.say("SLOWLOG LEN") == b":0\r\n"
    client.say("CONFIG SET slowlog-log-slower-than 0")
    client.say("CONFIG SET slowlog-max-len 3")
    for number in range(5):
        client.say(f"SET k{number} v")
    assert client.say("SLOWLOG LEN") == b":3\r\n"
    client.say("CONFIG SET slowlog-log-slower-than -1")
    client.say("SLOWLOG RESET")
    client.say("GET a")
    assert client.say("SLOWLOG LEN") == b":0\r\n"


def test_commands_in_a_transaction_are_timed_each_by_itself() -> None:
    alone = Alone()
    client, watch = alone.connect(), Watch(alone)
    watch.step = 20_000
    for line in ("MULTI", "SET a 1", "GET a", "ECHO hi", "MGET a b", "COPY a c", "DBSIZE", "EXEC"):
        client.say(line)
    slow = client.say("SLOWLOG GET -1")
    for name in (b"SET", b"GET", b"ECHO", b"MGET", b"COPY", b"DBSIZE"):
        assert b"\r\n$%d\r\n%b\r\n" % (len(name), name) in slow, name
    assert b"EXEC" not in slow              # as in Redis
    fields = stats(client, "commandstats")
    for name in ("set", "get", "echo", "copy", "dbsize"):
        assert fields[f"cmdstat_{name}"].startswith("calls=1,usec=20000,"), name
    assert fields["cmdstat_mget"].startswith("calls=1,usec=40000,")     # it has two parts
    assert client.say("LATENCY HISTOGRAM set") == (
        b"*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:1\r\n$14\r\nhistogram_usec\r\n"
        b"*2\r\n:32768\r\n:1\r\n"
    )


def test_secrets_are_not_kept() -> None:
    alone = Alone()
    client = alone.connect()
    client.say("CONFIG SET slowlog-log-slower-than 0")
    for line in (
        "AUTH default hunter2", "AUTH hunter2", "ACL SETUSER x on >hunter2 #hunter2",
        "CONFIG SET requirepass hunter2", "CONFIG SET timeout 7 requirepass hunter2",
        "HELLO 2 AUTH default hunter2 SETNAME me", "AUTH hunter2",
    ):
        client.say(line)
    slow = client.say("SLOWLOG GET -1")
    assert b"hunter2" not in slow and slow.count(b"(redacted)") >= 7 and b"timeout" in slow
    assert b"hunter2" not in client.say("INFO everything")
    assert b"hunter2" not in client.say("CLIENT LIST")
    assert b"hunter2" not in client.say("ACL LOG")


def test_long_commands_are_kept_shortened_as_in_redis() -> None:
    alone = Alone()
    client = alone.connect()
    words = [b"MSET", *[b"x" * 200] * 3, b"y", *[b"k", b"v"] * 40]
    with running() as server:
        theirs = server.connect()
        for each in (client, theirs):
            each.call(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0")
            each.call(b"SLOWLOG", b"RESET")
            each.call(*words)
        wanted = re.compile(rb"\*32\r\n.*?more arguments\)\r\n", re.DOTALL)
        mine = wanted.search(client.call(b"SLOWLOG", b"GET"))
        real = wanted.search(theirs.call(b"SLOWLOG", b"GET"))
        assert mine is not None and real is not None and mine[0] == real[0]


def stats(client: Client, section: str) -> dict[str, str]:
    lines = client.say(f"INFO {section}").decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def test_info_counts_calls_refusals_and_failures_as_redis_does() -> None:
    story = [
        "SET k v", "GET k", "GET", "INCR k", "EXISTS a b", "NOPE", "GET a b", "SET k v NX XX",
        "DEL k", "CLIENT NOPE", "CLIENT ID", "EXPIRE k x", "GETDEL no", "MULTI", "SET a 1", "GET a",
        "SET b x", "INCR b", "MGET a b", "CLIENT ID", "COPY a c", "DBSIZE", "EXEC", "WATCH a",
        "SET a 2", "MULTI", "APPEND a 3", "EXEC", "MULTI", "STRLEN a", "DISCARD",
    ]
    client = Alone().connect()
    with running() as server:
        theirs = server.connect()
        counts = []
        for each in (client, theirs):
            each.call(b"CONFIG", b"RESETSTAT")
            for step in story:
                each.call(*step.encode().split(b" "))
            text = each.call(b"INFO", b"commandstats").decode()
            rows = re.findall(
                r"cmdstat_(\S+?):calls=(\d+).*rejected_calls=(\d+),failed_calls=(\d+)", text
            )
            counts.append({row for row in rows if not row[0].startswith("config")})
            counts.append(re.findall(r"errorstat\S+", each.call(b"INFO", b"errorstats").decode()))
        assert counts[0] == counts[2] and counts[1] == counts[3]


def test_times_by_command_add_up() -> None:
    alone = Alone()
    client, watch = alone.connect(), Watch(alone)
    watch.step = 100
    for _ in range(5):
        client.say("EXISTS a")
        client.say("GET a")
    fields = stats(client, "commandstats")
    assert fields["cmdstat_exists"].startswith("calls=5,usec=500,usec_per_call=100.00")
    assert fields["cmdstat_get"].startswith("calls=5,usec=500,usec_per_call=100.00")
    shown = stats(client, "latencystats")
    assert shown["latency_percentiles_usec_get"] == "p50=128.000,p99=128.000,p99.9=128.000"
    assert client.say("LATENCY HISTOGRAM get nope") == (
        b"*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:5\r\n$14\r\nhistogram_usec\r\n*2\r\n:128\r\n:5\r\n"
    )
    client.say("CONFIG RESETSTAT")
    assert "cmdstat_get" not in stats(client, "commandstats")


def test_latency_events() -> None:
    alone = Alone()
    client, watch = alone.connect(), Watch(alone)
    later(alone, 1)
    assert b"latency-monitor-threshold" in client.say("LATENCY DOCTOR")
    watch.step = 50_000
    client.say("EXISTS a")
    assert client.say("LATENCY LATEST") == b"*0\r\n"
    client.say("CONFIG SET latency-monitor-threshold 40")
    watch.step = 0
    assert client.say("LATENCY DOCTOR").count(b"Nothing") <= 1
    client.say("LATENCY RESET")
    watch.step = 50_000
    client.say("EXISTS a")
    later(alone, 1000)
    watch.step = 45_000
    client.say("EXISTS a")
    watch.step = 0
    second = WALL_MS // 1000
    assert client.say("LATENCY HISTORY fast-command") == (
        b"*2\r\n*2\r\n:%d\r\n:50\r\n*2\r\n:%d\r\n:45\r\n" % (second, second + 1)
    )
    assert client.say("LATENCY LATEST") == (
        b"*1\r\n*4\r\n$12\r\nfast-command\r\n:%d\r\n:45\r\n:50\r\n" % (second + 1)
    )
    graph = client.say("LATENCY GRAPH fast-command")
    assert b"high 50 ms, low 45 ms" in graph and b"##" in graph
    assert b"1. fast-command: 2 samples" in client.say("LATENCY DOCTOR")
    assert client.say("LATENCY RESET fast-command x") == b":1\r\n"
    assert client.say("LATENCY LATEST") == b"*0\r\n"


def _worst(little: Little, name: str) -> dict[bytes, int]:
    """Event and greatest time, as a node shows them."""
    latest = little.client(name)("LATENCY", "LATEST")
    assert isinstance(latest, list)
    return {row[0]: row[3] for row in latest}


def test_waiting_for_other_nodes_and_for_the_disk_are_latency_events() -> None:
    little = Little(3, durability="always").ready()
    for name in "ABC":
        little.client(name)("CONFIG", "SET", "latency-monitor-threshold", 20)
    here, there = little.key_of("A"), little.key_of("B")
    client = little.client("A")
    client("SET", here, "v")
    assert not _worst(little, "A")
    little.holds = {(1, 0), (2, 0)}         # what B and C say comes late
    for words in (("SET", here, "w"), ("GET", here), ("SET", there, "w")):
        client.send(*words)
        little.run(30)
        little.holds, held = set(), little.holds
        client.receive()
        little.holds = held
    little.heal()
    worst = _worst(little, "A")
    assert set(worst) >= {b"quorum-write", b"quorum-read", b"forward"}
    assert all(29 <= worst[kind] <= 40 for kind in (b"quorum-write", b"quorum-read", b"forward"))
    client("LATENCY", "RESET")
    little.machines[0].fsync = False
    client.send("SET", here, "x")
    little.run(50)
    client.receive()                        # the other two have it on disk
    little.machines[0].fsync = True
    little.run(2)
    assert 48 <= _worst(little, "A")[b"aof-fsync-always"] <= 55
    little["A"].turned(44_000)
    assert _worst(little, "A")[b"turn"] == 44
    assert b"disk syncs slowly" in bytes(client("LATENCY", "DOCTOR"))    # type: ignore[call-overload]


def test_hits_and_misses_are_counted() -> None:
    client = Alone().connect()
    client.say("SET k v")
    for line in ("GET k", "GET no", "STRLEN k", "Get no", "GET k"):
        client.say(line)
    fields = stats(client, "stats")
    assert (fields["keyspace_hits"], fields["keyspace_misses"]) == ("3", "2")


# ---- the process ----


class Desk(NoHost):
    """A process that a test looks at."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.stopped = 0
        self.done: Callable[[str], None] | None = None

    def read_text(self, path: str) -> str:
        if path not in self.files:
            raise HostError("No such file or directory")
        return self.files[path]

    def write_text(self, path: str, content: str) -> None:
        self.files[path] = content

    def config_file(self) -> str:
        return "respdyn.toml"

    def shut_down(self) -> None:
        self.stopped += 1

    def back_up(self, name: str, done: Callable[[str], None]) -> None:
        self.done = done


@pytest.fixture
def desk() -> tuple[Client, Desk]:
    alone = Alone()
    alone.node.host = desk = Desk()
    return alone.connect(), desk


def test_shutdown_stops_and_says_nothing(desk: tuple[Client, Desk]) -> None:
    client, process = desk
    for line in ("SHUTDOWN", "SHUTDOWN NOSAVE NOW FORCE"):
        assert client.say(line) == b""
    assert process.stopped == 2
    assert client.say("SHUTDOWN SAVE") == b"" and process.stopped == 2
    assert process.done is not None
    process.done("")
    assert process.stopped == 3


def test_a_shutdown_that_cannot_save_goes_on_unless_forced(desk: tuple[Client, Desk]) -> None:
    client, process = desk
    client.say("SHUTDOWN SAVE")
    assert process.done is not None
    process.done("disk full")
    client.alone.turn()
    assert client.session.take() == b"-ERR Errors trying to SHUTDOWN. disk full\r\n"
    assert process.stopped == 0
    client.say("SHUTDOWN SAVE FORCE")
    process.done("disk full")
    assert process.stopped == 1


def test_a_backup_of_the_other_kind_waits_for_the_present_one(desk: tuple[Client, Desk]) -> None:
    client, process = desk
    other = client.alone.connect()
    assert client.say("BGREWRITEAOF") == b"+Background append only file rewriting started\r\n"
    assert client.say("BGREWRITEAOF").endswith(b"file rewriting already in progress\r\n")
    assert client.say("BGSAVE").startswith(b"-ERR Another child process is active (AOF?): can't")
    assert client.say("BGSAVE SCHEDULE") == b"+Background saving scheduled\r\n"
    assert client.say("BGSAVE SCHEDULE") == b"+Background saving scheduled\r\n"
    assert other.say("SAVE") == b""
    fields = stats(client, "persistence")
    assert (fields["rdb_bgsave_in_progress"], fields["aof_rewrite_in_progress"]) == ("0", "1")
    assert process.done is not None
    process.done("")
    fields = stats(client, "persistence")
    assert (fields["rdb_bgsave_in_progress"], fields["aof_rewrite_in_progress"]) == ("1", "0")
    assert client.say("BGREWRITEAOF") == b"+Background append only file rewriting scheduled\r\n"
    assert stats(client, "persistence")["aof_rewrite_scheduled"] == "1"
    process.done("disk full")
    assert other.session.take() == b"" and client.say("BGSAVE").startswith(b"-ERR Background save")
    process.done("")
    client.alone.turn()
    assert other.session.take() == b"+OK\r\n"
    process.done("")
    fields = stats(client, "persistence")
    assert (fields["rdb_bgsave_in_progress"], fields["aof_rewrite_in_progress"]) == ("0", "0")
    assert fields["aof_rewrite_scheduled"] == "0"


def test_one_backup_at_a_time(desk: tuple[Client, Desk]) -> None:
    client, process = desk
    before = client.say("LASTSAVE")
    assert client.say("BGSAVE") == b"+Background saving started\r\n"
    assert client.say("BGSAVE") == b"-ERR Background save already in progress\r\n"
    assert client.say("SAVE") == b"-ERR Background save already in progress\r\n"
    assert stats(client, "persistence")["rdb_bgsave_in_progress"] == "1"
    later(client.alone, 5000)
    assert process.done is not None
    process.done("")
    fields = stats(client, "persistence")
    assert (fields["rdb_bgsave_in_progress"], fields["rdb_saves"]) == ("0", "1")
    assert fields["rdb_last_bgsave_time_sec"] == "5"
    assert client.say("LASTSAVE") != before
    assert client.say("SAVE") == b""
    process.done("disk full")
    client.alone.turn()
    assert client.session.take() == b"-ERR disk full\r\n"
    assert stats(client, "persistence")["rdb_last_bgsave_status"] == "err"
    assert client.say("BGREWRITEAOF") == b"+Background append only file rewriting started\r\n"


def test_config_rewrite_writes_what_was_changed(desk: tuple[Client, Desk]) -> None:
    client, process = desk
    process.files["respdyn.toml"] = (
        '# mine\nport = 6379\ntimeout = 10   # seconds\nseeds = ["a:1",\n  "b:2"]\n'
    )
    assert client.say("CONFIG REWRITE") == b"+OK\r\n"
    client.say("CONFIG SET timeout 20 maxmemory 1gb requirepass a\"b\\c protected-mode no")
    assert client.say("CONFIG REWRITE") == b"+OK\r\n"
    written = process.files["respdyn.toml"]
    assert written.startswith("# mine\nport = 6379\ntimeout = 20\n")
    assert tomllib.loads(written) == {
        "port": 6379, "timeout": 20, "seeds": ["a:1", "b:2"], "maxmemory": 1 << 30,
        "requirepass": 'a"b\\c', "protected-mode": False,
    }
    process.files.clear()
    assert client.say("CONFIG REWRITE").startswith(b"-ERR Rewriting config file: No such file")


def test_what_is_rewritten_is_read_again() -> None:
    first = load({}, {})
    now = change(first, [
        ("requirepass", "x y"), ("timeout", "5"), ("tls-ciphers", "a:b"), ("protected-mode", "no"),
        ("notify-keyspace-events", "KEA"),
        ("client-output-buffer-limit", "pubsub 10mb 5mb 30"),
        ("save", "900 1 300 10"), ("slave-priority", "7"), ("appendonly", "no"),
    ])
    again = load({}, {}, rewritten("", first, now))
    assert again == now
    assert rewritten(rewritten("", first, now), first, now) == rewritten("", first, now)
    old = load({}, {}, "slave-priority = 5  # low\n")
    assert rewritten("slave-priority = 5  # low\n", old, load({}, {})) == (
        'replica-priority = "100"\n'
    )


def test_buffer_limits_under_redis_names() -> None:
    settings = change(load({}, {}), {
        ("client-output-buffer-limit", "normal 100mb 0 0 slave 256mb 64mb 60 pubsub 16mb 4mb 10"),
    })
    assert settings.client_output_limit == 100 << 20
    assert (settings.pubsub_output_limit, settings.pubsub_output_soft) == (16 << 20, 4 << 20)
    assert isinstance(settings, Settings) and settings.pubsub_output_seconds == 10


def test_client_lists_no_secret(redis: Connection) -> None:
    """As redis: CLIENT LIST has the command's name and no argument."""
    client = Alone().connect()
    client.say("SET secretkey secretvalue")
    assert b"secret" not in client.say("CLIENT LIST")
