"""Commands answered from session and node: the same replies as redis-server where it has them."""

import re

import pytest

from respdyn.commands.table import COMMANDS
from respdyn.local.info import SECTIONS, human
from tests.commands.alone import WALL_MS, Alone, Client
from tests.commands.real import Connection, running
from tests.commands.test_like_redis import argv_of

# Run at both; replies with numbers of connections or settings of redis-server are elsewhere.
STORIES = {
    "ping": "PING / PING hi / PING a b / ping / ECHO hi / ECHO / ECHO a b / PING \\x0d\\x0a",
    "select": "SELECT 0 / SELECT 15 / SELECT 16 / SELECT -1 / SELECT x / SELECT 99999999999"
              " / SELECT 2147483648 / SELECT / SELECT 1 2 / SELECT 01",
    "databases are apart": "SET k v / SELECT 3 / GET k / SET k w / SELECT 0 / GET k / SELECT 3"
                           " / GET k / RESET / GET k",
    "auth without a password": "AUTH x / AUTH default x / AUTH nouser x / AUTH a b c / AUTH",
    "hello wrong": "HELLO 1 / HELLO 4 / HELLO x / HELLO 3 nope / HELLO 3 AUTH a / HELLO 3 AUTH a b"
                   " / HELLO 2 SETNAME / HELLO 2 SETNAME a\\x20b / HELLO 3 zz\\x0d\\x0a",
    "name": "CLIENT GETNAME / CLIENT SETNAME x / CLIENT GETNAME / CLIENT SETNAME a\\x20b"
            " / CLIENT SETNAME \\x0a / CLIENT SETNAME \\xe9 / CLIENT GETNAME / CLIENT SETNAME "
            " / CLIENT GETNAME / CLIENT GETNAME x",
    "client wrong": "CLIENT KILL 1.2.3.4:5 / CLIENT KILL ID x / CLIENT KILL ID 0"
                    " / CLIENT KILL ID -1"
                    " / CLIENT KILL ID 999999 / CLIENT KILL TYPE zz / CLIENT KILL USER zz"
                    " / CLIENT KILL SKIPME zz / CLIENT KILL zz yy / CLIENT KILL ID 999999 TYPE"
                    " / CLIENT KILL ADDR 1.2.3.4:5 LADDR 6.7.8.9:10 / CLIENT KILL ID"
                    " / CLIENT KILL TYPE pubsub / CLIENT KILL TYPE master TYPE replica"
                    " / CLIENT LIST x / CLIENT LIST TYPE zz / CLIENT LIST ID x"
                    " / CLIENT LIST ID 99999"
                    " / CLIENT LIST TYPE pubsub / CLIENT LIST TYPE / CLIENT LIST ID"
                    " / CLIENT LIST TYPE normal x / CLIENT REPLY x / CLIENT NO-EVICT x"
                    " / CLIENT NO-EVICT on / CLIENT NO-EVICT OFF"
                    " / CLIENT NOPE / CLIENT ID x",
    "config wrong": "CONFIG SET a b / CONFIG SET maxclients 100 nope 2"
                    " / CONFIG SET maxclients 100 a"
                    " / CONFIG SET timeout 5 timeout 6 / CONFIG SET timeout x"
                    " / CONFIG GET nope / CONFIG GET maxmemory / CONFIG GET MAXmemory"
                    " / CONFIG GET nope maxmemory nope / CONFIG SET timeout 5 / CONFIG GET timeout"
                    " / CONFIG SET timeout 0 / CONFIG RESETSTAT / CONFIG GET / CONFIG SET"
                    " / CONFIG RESETSTAT x / CONFIG GET databases / CONFIG SET a\\x0d\\x0a b",
    "cluster": "CLUSTER INFO / CLUSTER SLOTS / CLUSTER / CLUSTER NODES / CLUSTER SHARDS"
               " / CLUSTER MYID / CLUSTER KEYSLOT k / CLUSTER COUNTKEYSINSLOT 0 / CLUSTER LINKS"
               " / CLUSTER GETKEYSINSLOT 0 1 / CLUSTER COUNT-FAILURE-REPORTS x / CLUSTER HELP"
               " / CLUSTER KEYSLOT / CLUSTER nope / READONLY / READWRITE / ASKING / READONLY x",
    "command": "COMMAND COUNT x / COMMAND GETKEYS GET k / COMMAND GETKEYS PING k"
               " / COMMAND INFO nope get nope / COMMAND LIST FILTERBY PATTERN get*"
               " / COMMAND LIST FILTERBY ACLCAT nope / COMMAND LIST FILTERBY MODULE m"
               " / COMMAND LIST FILTERBY nope x / COMMAND LIST FILTERBY PATTERN / COMMAND LIST x"
               " / COMMAND DOCS nope / COMMAND GETKEYS / COMMAND INFO client|id"
               " / COMMAND INFO client|id|x / COMMAND INFO nope|id",
    "info": "INFO nope / TIME x / INFO nope nope",
    "memory": "MEMORY PURGE / MEMORY nope / MEMORY PURGE x / MEMORY STATS x"
              " / MEMORY DOCTOR x / MEMORY HELP x / MEMORY",
    "swapdb": "SWAPDB a 1 / SWAPDB 0 99 / SWAPDB 0 / SWAPDB 1 a / SWAPDB -1 0",
    "wait": "WAIT 0 0 / WAIT a 0 / WAIT 0 a / WAIT -1 0 / WAIT 0 -1 / WAIT"
            " / WAIT 99999999999999999999 0 / SET k v / WAIT 0 10 / MULTI / WAIT 1 0 / EXEC",
    "reset": "CLIENT SETNAME x / SELECT 4 / RESET / CLIENT GETNAME / RESET x",
}


@pytest.fixture
def client() -> Client:
    return Alone().connect()


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(
    story: str, resp: int, redis: Connection, client: Client
) -> None:
    for each in (redis, client):
        each.call(b"HELLO", b"%d" % resp)
        each.call(b"SELECT", b"0")
    for step in story.split(" / "):
        argv = argv_of(step)
        mine, theirs = client.call(*argv), redis.call(*argv)
        if b"LIST FILTERBY PATTERN get" in step.encode():
            assert b"$5\r\ngetex\r\n" in mine and b"$5\r\ngetex\r\n" in theirs
            continue
        assert mine == theirs, step
    redis.call(b"SELECT", b"0")


HELLO_STORIES = (
    "HELLO", "HELLO 3", "HELLO", "HELLO 2 SETNAME x", "HELLO 3 AUTH default y", "HELLO 2",
)


def test_hello_is_that_of_redis_but_for_the_number(redis: Connection, client: Client) -> None:
    for step in HELLO_STORIES:
        mine, theirs = client.say(step), redis.call(*step.encode().split(b" "))
        number = int(redis.call(b"CLIENT", b"ID")[1:])
        assert mine == theirs.replace(b"id\r\n:%d\r\n" % number, b"id\r\n:1\r\n"), step
    assert client.say("CLIENT GETNAME") == b"$1\r\nx\r\n"


PASSWORD_STORIES = [
    "GET k / PING / NOPE / GET / CLIENT ID / AUTH wrong / AUTH default wrong / AUTH nouser secret"
    " / GET k / AUTH secret / PING / CLIENT GETNAME / AUTH wrong / PING",
    "HELLO / HELLO 3 / HELLO 3 SETNAME x / HELLO 9 / HELLO 3 AUTH default wrong"
    " / HELLO 3 AUTH default secret SETNAME a\\x20b / CLIENT GETNAME / PING",
    "HELLO 2 SETNAME x / AUTH default secret / CLIENT GETNAME / RESET / PING / CLIENT GETNAME"
    " / AUTH secret / CLIENT GETNAME",
    "QUIT",
    "RESET / PING / QUIT",
]


def test_a_password_guards_as_in_redis() -> None:
    alone = Alone(requirepass="secret")
    with running("--requirepass", "secret") as server:
        for story in PASSWORD_STORIES:
            mine, theirs = alone.connect(), server.connect()
            for step in story.split(" / "):
                argv = argv_of(step)
                assert mine.call(*argv) == theirs.call(*argv), step
            assert mine.session.closing == ("QUIT" in story)
            theirs.close()


def test_taking_the_password_away_lets_every_client_in() -> None:
    alone = Alone(requirepass="secret")
    friend, stranger = alone.connect(), alone.connect()
    assert friend.say("AUTH secret") == b"+OK\r\n"
    assert stranger.say("PING").startswith(b"-NOAUTH")
    assert friend.call(b"CONFIG", b"SET", b"requirepass", b"") == b"+OK\r\n"
    assert stranger.say("PING") == b"+PONG\r\n"
    assert friend.call(b"CONFIG", b"SET", b"requirepass", b"new") == b"+OK\r\n"
    assert friend.say("PING") == b"+PONG\r\n"
    assert alone.connect().say("PING").startswith(b"-NOAUTH")


REPLY_STORIES = [
    "CLIENT REPLY OFF / PING / SET k v / CLIENT REPLY ON / PING",
    "CLIENT REPLY SKIP / PING / PING",
    "CLIENT REPLY SKIP / CLIENT REPLY SKIP / PING / PING",
    "CLIENT REPLY SKIP / CLIENT REPLY ON / PING",
    "CLIENT REPLY SKIP / CLIENT REPLY OFF / PING / CLIENT REPLY SKIP / PING / CLIENT REPLY ON"
    " / PING",
    "CLIENT REPLY OFF / RESET / PING",
    "CLIENT REPLY SKIP / NOPE / NOPE",
    "CLIENT REPLY OFF / CLIENT REPLY nope / GET / CLIENT REPLY ON",
    "CLIENT REPLY SKIP / MGET a b / PING",
    "CLIENT REPLY SKIP / DBSIZE / PING",
]


@pytest.mark.parametrize("story", REPLY_STORIES)
def test_replies_are_left_out_as_in_redis(
    story: str, redis: Connection, client: Client
) -> None:
    redis.call(b"DEL", b"k")
    steps = [argv_of(step) for step in story.split(" / ")]
    mine = b"".join(client.call(*argv) for argv in (*steps, [b"ECHO", b"end"]))
    lines = b"".join(b" ".join(argv) + b"\r\n" for argv in steps) + b"ECHO end\r\n"
    replies = mine.count(b"\r\n") - 1     # all are of one line but the last
    assert redis.talk(lines, replies) == mine


def fields_of(line: bytes) -> dict[str, str]:
    return dict(field.split("=", 1) for field in line.decode().strip().split(" "))


def test_client_list_has_every_field_of_redis_in_its_order(
    redis: Connection, client: Client
) -> None:
    client.say("CLIENT SETNAME me")
    client.say("CLIENT SETINFO LIB-NAME lib")
    client.say("CLIENT SETINFO lib-ver 1.2")
    client.say("CLIENT NO-EVICT ON")
    client.say("SELECT 5")
    client.alone.now_ms += 3500
    client.alone.wall_ms += 3500
    client.alone.turn()
    mine = fields_of(client.say("CLIENT LIST").split(b"\r\n")[1])
    theirs = fields_of(redis.call(b"CLIENT", b"LIST").split(b"\r\n")[1])
    assert list(mine) == [*theirs, "lib-name", "lib-ver"]
    shown = {name: mine[name] for name in ("id", "addr", "laddr", "name", "age", "idle", "flags",
                                          "db", "cmd", "user", "resp", "lib-name", "lib-ver")}
    assert shown == {
        "id": "1", "addr": "127.0.0.1:50001", "laddr": "127.0.0.1:6379", "name": "me",
        "age": "3", "idle": "0", "flags": "e", "db": "5", "cmd": "client|list",
        "user": "default", "resp": "2", "lib-name": "lib", "lib-ver": "1.2",
    }


def test_client_list_and_info_choose(client: Client) -> None:
    others = [client.alone.connect() for _ in range(3)]
    listed = client.say("CLIENT LIST")
    assert listed.count(b"\n") == 1 + 4 + 1
    assert client.say("CLIENT LIST TYPE normal").count(b"id=") == 4
    two = client.say("CLIENT LIST ID 3 99 2")
    lines = two.split(b"\r\n")[1].strip().split(b"\n")
    assert [fields_of(line)["id"] for line in lines] == ["3", "2"]
    assert b"id=1 addr=127.0.0.1:50001" in client.say("CLIENT INFO")
    assert client.say("CLIENT ID") == b":1\r\n"
    client.say("HELLO 3")
    assert client.say("CLIENT INFO").startswith(b"=")
    assert len(others) == 3


def test_client_setinfo_takes_what_libraries_send(client: Client) -> None:
    assert client.say("CLIENT SETINFO lib-name redis-py(x_v1)") == b"+OK\r\n"
    assert client.call(b"CLIENT", b"SETINFO", b"LIB-VER", b"a b") == (
        b"-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n"
    )
    assert client.say("CLIENT SETINFO nope x") == b"-ERR Unrecognized option 'nope'\r\n"
    assert client.say("CLIENT NO-TOUCH on") == b"+OK\r\n"
    assert client.say("CLIENT NO-TOUCH x") == b"-ERR syntax error\r\n"


def test_kill_closes_those_whom_all_filters_fit() -> None:
    alone = Alone()
    first, second, third = alone.connect(), alone.connect(), alone.connect()
    assert first.say("CLIENT KILL ID 2 ADDR 127.0.0.1:50001") == b":0\r\n"
    assert first.say("CLIENT KILL ID 2 LADDR 127.0.0.1:6379 USER default TYPE normal") == b":1\r\n"
    assert second.session.closing and not third.session.closing
    assert first.say("CLIENT KILL 127.0.0.1:50003") == b"+OK\r\n"
    assert third.session.closing
    for one in (second, third):
        alone.node.close_session(one.session)
    assert first.say("CLIENT KILL TYPE normal") == b":0\r\n"
    assert first.say("PING") == b"+PONG\r\n"
    assert first.say("CLIENT KILL TYPE normal SKIPME no") == b":1\r\n"
    assert first.session.closing


def test_the_old_form_of_kill_may_kill_its_sender(client: Client) -> None:
    assert client.say("CLIENT KILL 127.0.0.1:50001") == b"+OK\r\n"
    assert client.session.closing


def test_help_lists_every_subcommand() -> None:
    client = Alone().connect("cluster")      # the other port has no CLUSTER
    for command in COMMANDS:
        if command.subcommands:
            shown = client.say(f"{command.name} HELP")
            for sub in command.subcommands:
                assert f"+{sub.syntax.split(' ', 1)[1]}\r\n".encode() in shown


def test_quit_answers_and_closes(client: Client) -> None:
    assert client.say("QUIT now please") == b"+OK\r\n"
    assert client.session.closing


def test_time_is_the_nodes(client: Client) -> None:
    assert client.say("TIME") == b"*2\r\n$10\r\n1700000000\r\n$6\r\n123000\r\n"
    assert WALL_MS == 1_700_000_000_123


def test_config_set_changes_all_or_nothing(client: Client) -> None:
    assert client.say("CONFIG SET timeout 7 maxclients 5").startswith(b"+OK")
    assert client.say("CONFIG SET timeout 9 maxclients nope").startswith(b"-ERR CONFIG SET failed")
    assert client.say("CONFIG GET timeout") == b"*2\r\n$7\r\ntimeout\r\n$1\r\n7\r\n"
    assert client.say("CONFIG GET TIMEOU? maxclients") == (
        b"*4\r\n$7\r\ntimeout\r\n$1\r\n7\r\n$10\r\nmaxclients\r\n$1\r\n5\r\n"
    )
    client.say("HELLO 3")
    assert client.say("CONFIG GET timeout") == b"%1\r\n$7\r\ntimeout\r\n$1\r\n7\r\n"
    assert client.say("CONFIG GET *").count(b"\r\n") > 100


# What redis_exporter, ioredis, RedisInsight and the test suites of libraries read.
FIELDS = {
    "server": "redis_version redis_mode process_id run_id tcp_port uptime_in_seconds arch_bits os"
              " server_name respdyn_version respdyn_build",
    "clients": "connected_clients blocked_clients maxclients",
    "memory": "used_memory used_memory_human used_memory_rss used_memory_peak maxmemory"
              " maxmemory_policy mem_fragmentation_ratio",
    "persistence": "loading rdb_changes_since_last_save rdb_last_save_time aof_enabled"
                   " aof_last_write_status",
    "stats": "total_connections_received total_commands_processed instantaneous_ops_per_sec"
             " total_net_input_bytes rejected_connections expired_keys evicted_keys keyspace_hits"
             " keyspace_misses total_error_replies instantaneous_input_kbps",
    "replication": "role connected_slaves master_repl_offset master_replid",
    "cpu": "used_cpu_sys used_cpu_user",
    "cluster": "cluster_enabled",
    "dynamo": "dynamo_node_id dynamo_n dynamo_r dynamo_w dynamo_ring_version dynamo_live_keys",
}


def sections_of(reply: bytes) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in reply.split(b"\r\n", 1)[1].decode().split("\r\n"):
        if line.startswith("# "):
            current = found[line[2:].lower()] = {}
        elif line:
            name, value = line.split(":", 1)
            current[name] = value
    return found


def test_info_has_what_tools_read(redis: Connection, client: Client) -> None:
    client.say("SET a 1")
    client.say("SELECT 3")
    client.say("MSET b 1 c 2")
    client.say("NOPE")
    shown = sections_of(client.say("INFO everything"))
    for section, names in FIELDS.items():
        assert set(names.split()) <= set(shown[section])
    theirs = sections_of(redis.call(b"INFO", b"everything"))
    assert list(theirs) == [section for section in shown if section != "dynamo"]
    for section, names in theirs.items():
        if section in ("keyspace", "commandstats", "latencystats", "errorstats"):
            continue
        assert list(names) == [name for name in shown[section] if name in names], section
    assert shown["server"]["redis_version"] == theirs["server"]["redis_version"] == "7.0.15"
    assert shown["persistence"]["loading"] == "0"
    assert shown["replication"]["role"] == "master"
    assert shown["keyspace"] == {
        "db0": "keys=1,expires=0,avg_ttl=0", "db3": "keys=2,expires=0,avg_ttl=0",
    }
    assert shown["errorstats"] == {"errorstat_ERR": "count=1"}
    assert shown["commandstats"]["cmdstat_set"].startswith("calls=1,usec=")


def test_memory_stats_has_every_row_of_redis(redis: Connection) -> None:
    client = Alone().connect()
    for each in (client, redis):
        for words in ("HELLO 2", "FLUSHALL", "SET a 1", "SELECT 3", "SET b 1 EX 100"):
            each.call(*argv_of(words))
    mine, theirs = (
        re.findall(r"\r\n([a-z][\w.-]+)(?=\r\n)", each.call(b"MEMORY", b"STATS").decode())
        for each in (client, redis)
    )
    assert mine == [*theirs, "records.count"]


def test_percentiles_are_those_that_are_asked_for() -> None:
    client = Alone().connect()
    client.say("GET a")
    client.call(b"CONFIG", b"SET", b"latency-tracking-info-percentiles", b"25 99.99")
    shown = sections_of(client.say("INFO latencystats"))["latencystats"]
    assert shown["latency_percentiles_usec_get"].startswith("p25=")
    assert ",p99.99=" in shown["latency_percentiles_usec_get"]


def test_changes_since_the_last_backup_are_counted() -> None:
    client = Alone().connect()

    def unsaved() -> str:
        shown = sections_of(client.say("INFO persistence"))
        return shown["persistence"]["rdb_changes_since_last_save"]

    assert unsaved() == "0"
    for line in ("SET a 1", "INCR n", "GET a", "DEL nope", "DEL a"):
        client.say(line)
    assert unsaved() == "3"
    client.say("CONFIG RESETSTAT")
    assert unsaved() == "3"
    backups = client.alone.node.context.backups
    backups.begin(client.alone.wall_ms, client.alone.node.counters)
    client.say("SET b 1")
    assert unsaved() == "4"
    client.say("CONFIG RESETSTAT")
    backups.end(client.alone.wall_ms, True)
    assert unsaved() == "1"


def test_info_gives_the_sections_that_are_named(client: Client) -> None:
    assert list(sections_of(client.say("INFO replication"))) == ["replication"]
    assert list(sections_of(client.say("INFO CPU server"))) == ["server", "cpu"]
    default = [name for name in SECTIONS if name not in ("commandstats", "latencystats")]
    assert list(sections_of(client.say("INFO"))) == default
    assert list(sections_of(client.say("INFO default cpu"))) == default
    assert list(sections_of(client.say("INFO all"))) == list(SECTIONS)
    assert list(sections_of(client.say("INFO everything"))) == list(SECTIONS)
    client.say("HELLO 3")
    assert client.say("INFO cluster") == b"=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n"


def test_resetstat_begins_again(client: Client) -> None:
    client.say("NOPE")
    assert client.say("CONFIG RESETSTAT") == b"+OK\r\n"
    shown = sections_of(client.say("INFO all"))
    assert shown["errorstats"] == {}
    assert shown["stats"]["total_error_replies"] == "0"


def test_numbers_are_printed_for_people_as_by_redis() -> None:
    assert [human(n) for n in (0, 1023, 1024, 12398592, 25276502016, 1 << 50)] == [
        "0B", "1023B", "1.00K", "11.82M", "23.54G", "1.00P",
    ]


def test_a_client_asks_for_notice_before_the_node_stops() -> None:
    """Redis 7 does not have this; what is sent is in `tests/sessions/test_draining.py`."""
    client = Alone().connect()
    assert client.say("CLIENT MAINT_NOTIFICATIONS ON").startswith(b"-ERR maintenance notifications")
    client.say("HELLO 3")
    assert client.say("CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none") == b"+OK\r\n"
    assert client.say("CLIENT MAINT_NOTIFICATIONS OFF") == b"+OK\r\n"


DEBUG_STORY = (
    "DEBUG nope / DEBUG SLEEP / DEBUG / DEBUG JMAP / DEBUG OBJECT / DEBUG SLEEP 0 / DEBUG SLEEP x"
    " / DEBUG SLEEP -1 / DEBUG HELP x"
)


def test_debug_knows_sleep_only() -> None:
    client = Alone(enable_debug_command="yes").connect()
    with running("--enable-debug-command", "yes") as server:
        theirs = server.connect()
        for step in DEBUG_STORY.split(" / "):
            argv = argv_of(step)
            assert client.call(*argv) == theirs.call(*argv), step
        theirs.close()
    assert client.say("DEBUG HELP").startswith(b"*5\r\n+DEBUG <subcommand>")
    assert client.say("DEBUG OBJECT k").startswith(b"-ERR unknown subcommand")
    assert client.say("DEBUG SEGFAULT").startswith(b"-ERR unknown subcommand")


@pytest.mark.parametrize("allowed", ["no", "local", "yes"])
def test_debug_is_for_whom_the_setting_allows(allowed: str) -> None:
    alone = Alone(enable_debug_command=allowed)
    client = alone.connect()
    far = Client(alone, "10.0.0.9:5000", "client")
    with running("--enable-debug-command", allowed) as server:
        theirs = server.connect()
        for step in ("DEBUG SLEEP 0", "DEBUG", "MULTI", "DEBUG SLEEP 0", "EXEC", "DEBUG nope",
                     "CONFIG GET enable-debug-command", "CONFIG SET enable-debug-command yes"):
            argv = argv_of(step)
            assert client.call(*argv) == theirs.call(*argv), step
        theirs.close()
    assert far.say("DEBUG SLEEP 0").startswith(b"+OK" if allowed == "yes" else b"-ERR DEBUG comm")


def test_swapdb_says_why_not() -> None:
    assert Alone().connect().say("SWAPDB 0 1").startswith(b"-ERR SWAPDB is not offered: a database")


def test_memory_is_that_of_this_node() -> None:
    client = Alone().connect()
    client.say("SET k " + "v" * 1000)
    used = int(client.say("MEMORY USAGE k")[1:])
    assert 1000 < used < 1500
    stats = client.say("MEMORY STATS")
    assert b"keys.count\r\n:1\r\n" in stats and b"dataset.bytes" in stats
    assert client.say("MEMORY DOCTOR").startswith(b"$")
    assert client.say("MEMORY MALLOC-STATS").startswith(b"$45\r\nStats not supported")
    assert b"+USAGE" in client.say("MEMORY HELP") and b"+ENCODING" in client.say("OBJECT HELP")


def test_idle_time_counts_from_the_last_write() -> None:
    alone = Alone()
    client = alone.connect()
    client.say("SET k v")
    alone.now_ms += 7000
    alone.wall_ms += 7000
    client.say("GET k")
    assert client.say("OBJECT IDLETIME k") == b":7\r\n"
    assert client.say("OBJECT REFCOUNT k") == b":1\r\n"


def test_one_database_on_the_cluster_port() -> None:
    client = Alone().connect("cluster")
    client.say("SET k v")
    assert b"cluster mode" in client.say("MOVE k 1")
    assert b"cluster mode" in client.say("COPY k n DB 1")
    assert client.say("COPY k n") == b":1\r\n"


def test_what_fetch_gives() -> None:
    client = Alone().connect()
    assert client.say("DYN.FETCH no") == b"$-1\r\n"
    client.say("SET k v PXAT 5000000000000")
    token = client.say("DYN.GETCTX k").split(b"\r\n")[2]
    assert client.say("DYN.FETCH k") == (
        b"*3\r\n$%d\r\n%b\r\n$1\r\nv\r\n:5000000000000\r\n" % (len(token), token)
    )
