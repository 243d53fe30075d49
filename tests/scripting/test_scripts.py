"""Scripts in a little cluster: through any node, on any keys, known everywhere, run once."""

import hashlib

from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.cluster.messages import GOSSIP_SCRIPT
from respdyn.coordination.script_messages import Loaded, encode_loaded
from respdyn.scripting.inline import InlineScripts
from respdyn.sessions.acl_rules import judge_of
from tests.commands.alone import Alone
from tests.commands.real import encode
from tests.little import Client, Little

COUNT = (
    "local n = redis.call('get', KEYS[1]) n = (n or 0) + 1 redis.call('set', KEYS[1], n)"
    " return n"
)


def sha(body: str) -> str:
    return hashlib.sha1(body.encode()).hexdigest()


def clients(little: Little, each: int = 1) -> list[Client]:
    return [little.client(name) for name in "ABC" for _ in range(each)]


def test_a_script_runs_through_any_node_for_a_key_of_any() -> None:
    little = Little(3).ready()
    for owner in "ABC":
        key = little.key_of(owner)
        for number, client in enumerate(clients(little), 1):
            assert client("EVAL", COUNT, 1, key) == number
            assert client("GET", key) == str(number).encode()


def test_no_increment_is_lost_among_clients_of_all_nodes() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    all_clients = clients(little, 5)
    for _ in range(4):
        for client in all_clients:
            client.send("EVAL", COUNT, 1, key)
        for client in all_clients:
            assert isinstance(client.receive(), int)
    assert little.client("C")("GET", key) == b"60"


def test_scripts_and_plain_commands_take_turns_on_a_key() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    one, two = little.client("A"), little.client("B")
    for _ in range(20):
        one.send("EVAL", COUNT, 1, key)
        two.send("INCR", key)
    assert sorted(client.receive() for client in (one, two) for _ in range(20)) == list(
        range(1, 41)
    )


def test_keys_that_were_not_declared_are_fetched_while_it_runs() -> None:
    alone = Alone().connect()
    script = (
        b"for i = 1, 100 do redis.call('incr', 'key:' .. i) end"
        b" return redis.call('get', 'key:7')"
    )
    assert alone.call(b"EVAL", script, b"0") == b"$1\r\n1\r\n"
    assert alone.call(b"EVAL", script, b"0") == b"$1\r\n2\r\n"
    assert alone.call(b"GET", b"key:100") == b"$1\r\n2\r\n"


def test_two_scripts_that_want_each_others_keys_both_end() -> None:
    alone = Alone()
    one, two = alone.connect(), alone.connect()
    script = b"redis.call('incr', ARGV[1]) redis.call('incr', ARGV[2]) return 1"
    for client, names in ((one, (b"a", b"b")), (two, (b"b", b"a"))):
        client.offer(encode([b"EVAL", script, b"0", *names]))
    alone.turn()
    assert one.session.take() == two.session.take() == b":1\r\n"
    assert one.call(b"MGET", b"a", b"b") == b"*2\r\n$1\r\n2\r\n$1\r\n2\r\n"


def test_nothing_is_written_by_a_script_that_does_not_end() -> None:
    alone = Alone().connect()
    reply = alone.call(b"EVAL", b"redis.call('set', KEYS[1], 1) while true do end", b"1", b"k")
    assert reply.startswith(b"-TIMEOUT") and b"nothing was done" in reply
    assert alone.call(b"GET", b"k") == b"$-1\r\n"


def test_what_a_script_wrote_before_its_error_stays() -> None:
    alone = Alone().connect()
    assert alone.call(b"EVAL", b"redis.call('set', KEYS[1], 1) error('x')", b"1", b"k")[:1] == b"-"
    assert alone.call(b"GET", b"k") == b"$1\r\n1\r\n"


def test_a_loaded_script_is_known_at_every_node() -> None:
    little = Little(3).ready()
    assert little.client("A")("SCRIPT", "LOAD", "return 7") == sha("return 7").encode()
    little.run(5)
    little.kill("A")
    for name in "BC":
        assert little.client(name)("EVALSHA", sha("return 7"), 0) == 7
        assert little.client(name)("EVALSHA_RO", sha("return 7"), 0) == 7


def test_a_script_that_one_node_has_evaluated_is_found_by_the_others() -> None:
    little = Little(3).ready()
    assert little.client("A")("EVAL", "return 8", 0) == 8
    assert little.client("C")("EVALSHA", sha("return 8"), 0) == 8
    assert little.client("B")("SCRIPT", "EXISTS", sha("return 8"), sha("nothing")) == [1, 0]
    assert little.client("B")("EVALSHA", sha("nothing"), 0) == (
        "NOSCRIPT No matching script. Please use EVAL."
    )


def test_a_script_that_its_node_has_forgotten_is_sent_along_once_more() -> None:
    little = Little(3).ready()
    client = little.client("A")
    key = little.key_of("B")
    assert client("EVAL", "return redis.call('incr', KEYS[1])", 1, key) == 1
    assert client("SCRIPT", "FLUSH") == b"OK"
    little.run(50)
    assert client("EVAL", "return redis.call('incr', KEYS[1])", 1, key) == 2


def test_a_verbatim_string_of_another_node_is_no_early_answer() -> None:
    little = Little(3).ready()
    client = little.client("A")
    client("HELLO", 3)
    text = "return {verbatim_string={format='txt', string='hello'}}"
    assert client("EVAL", text, 1, little.key_of("B")) == client("EVAL", text, 0)


def test_scripts_are_flushed_at_every_node() -> None:
    little = Little(3).ready()
    little.client("A")("SCRIPT", "LOAD", "return 9")
    assert little.client("B")("SCRIPT", "FLUSH") == b"OK"
    little.run(5)
    for client in clients(little):
        assert str(client("EVALSHA", sha("return 9"), 0)).startswith("NOSCRIPT")
        assert str(client("EVALSHA", "", 1)).startswith("NOSCRIPT")
        assert "greater than number of args" in str(client("EVALSHA", sha("return 9"), 1))


def test_a_transaction_runs_a_script_between_its_other_commands() -> None:
    client = Little(3).ready().client("A")
    client("MULTI")
    for words in (("SET", "k", "1"), ("EVAL", COUNT, 1, "k"), ("INCR", "k")):
        assert client(*words) == b"QUEUED"
    assert client("EXEC") == [b"OK", 2, 3]


def test_a_pipeline_of_scripts_and_commands_takes_effect_in_order() -> None:
    client = Little(3).ready().client("B")
    for words in (("SET", "k", "1"), ("EVAL", COUNT, 1, "k"), ("GET", "k"), ("INCR", "k"),
                  ("EVAL", COUNT, 1, "k")):
        client.send(*words)
    assert [client.receive() for _ in range(5)] == [b"OK", 2, b"2", 3, 4]


def test_scripts_on_one_key_need_not_wait_for_each_other() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    client = little.client("B")
    for _ in range(50):
        client.send("EVAL", COUNT, 1, key)
    client.send("GET", key)
    client.send("EVAL", COUNT, 1, little.key_of("C"))
    began_ms = little.now_ms
    assert [client.receive() for _ in range(52)] == [*range(1, 51), b"50", 1]
    assert little.now_ms - began_ms < 400


def test_when_the_process_dies_only_the_script_at_hand_fails() -> None:
    little = Little(1).ready()
    machine = little.machines[0]
    one, two = little.client("A"), little.client("A")
    one.send("EVAL", COUNT, 1, "k")
    two.send("EVAL", COUNT, 1, "l")
    machine.node.drain()                            # both are in the process
    machine.scripts.die()
    machine.node.scripts.died(1, "signal 11")
    assert str(one.receive()).startswith("ERR the script process ended while it ran this script")
    assert two.receive() == 1
    assert one("MGET", "k", "l") == [None, b"1"]


def test_a_script_that_may_not_write_runs_and_is_refused_to_write() -> None:
    client = Alone().connect()
    client.call(b"SET", b"k", b"v")
    assert client.call(b"EVAL_RO", b"return redis.call('get', KEYS[1])", b"1", b"k") == (
        b"$1\r\nv\r\n"
    )
    reply = client.call(b"EVAL_RO", b"return redis.call('del', KEYS[1])", b"1", b"k")
    assert reply.startswith(b"-ERR Write commands are not allowed from read-only scripts.")


def test_rights_are_asked_for_each_command_of_a_script() -> None:
    alone = Alone()
    client = alone.connect()
    client.say("ACL SETUSER u on >p ~a* +@all -set")
    client.say("AUTH u p")
    assert client.call(b"EVAL", b"return redis.call('get', KEYS[1])", b"1", b"a") == b"$-1\r\n"
    for script, said in (
        (b"return redis.call('set', KEYS[1], 1)", b"can't run this command or subcommand"),
        (b"return redis.call('get', 'b')", b"can't access at least one of the keys"),
    ):
        assert said in client.call(b"EVAL", script, b"1", b"a")
    assert client.call(b"EVAL", b"return redis.acl_check_cmd('set','a','b')", b"0") == b"$-1\r\n"


def test_script_debug_takes_no() -> None:
    client = Alone().connect()
    assert client.say("SCRIPT DEBUG NO") == b"+OK\r\n"
    assert client.say("SCRIPT DEBUG YES")[:1] == client.say("SCRIPT DEBUG X")[:1] == b"-"
    assert client.say("SCRIPT KILL").startswith(b"-NOTBUSY")


def test_commands_of_scripts_are_counted_and_shown() -> None:
    alone = Alone()
    client, monitor = alone.connect(), alone.connect()
    assert monitor.say("MONITOR") == b"+OK\r\n"
    client.call(b"EVAL", b"redis.call('set', 'k', 'v') redis.pcall('incr', 'k')", b"0")
    shown = monitor.session.take().splitlines()
    assert shown[1].endswith(b'[0 lua] "set" "k" "v"') and b'"EVAL"' in shown[0]
    stats = client.say("INFO commandstats").decode()
    assert "cmdstat_set:calls=1" in stats and "cmdstat_eval:calls=1" in stats


def test_a_pause_of_writers_holds_scripts_that_may_write() -> None:
    alone = Alone()
    client, other = alone.connect(), alone.connect()
    assert client.say("CLIENT PAUSE 1000 WRITE") == b"+OK\r\n"
    assert other.call(b"EVAL_RO", b"return 1", b"0") == b":1\r\n"
    assert other.call(b"EVAL", b"return 2", b"0") == b""
    assert client.say("CLIENT UNPAUSE") == b"+OK\r\n"
    alone.turn()
    assert other.session.take() == b":2\r\n"


def test_what_scripts_take_and_have_done_is_counted() -> None:
    alone = Alone()
    client = alone.connect()
    client.call(b"EVAL", b"return 1", b"0")
    client.call(b"EVAL", b"while true do end", b"0")
    assert "number_of_cached_scripts:2" in client.say("INFO memory").decode()
    counters = alone.node.counters
    assert (counters.scripts_run, counters.scripts_stopped) == (1, 1)


def test_events_of_what_a_script_wrote_are_published() -> None:
    alone = Alone(notify_keyspace_events="KEA")
    client, listener = alone.connect(), alone.connect()
    listener.say("PSUBSCRIBE __keyevent@*")
    client.call(b"EVAL", b"redis.call('set', 'k', 'v') redis.call('expire', 'k', 9)", b"0")
    received = listener.session.take()
    assert b"__keyevent@0__:set" in received and b"__keyevent@0__:expire" in received


def test_a_message_of_a_script_is_published() -> None:
    alone = Alone()
    client, listener = alone.connect(), alone.connect()
    listener.say("SUBSCRIBE c")
    assert client.call(b"EVAL", b"return redis.call('publish', 'c', 'hi')", b"0") == b":0\r\n"
    alone.turn()
    assert listener.session.take().endswith(b"$1\r\nc\r\n$2\r\nhi\r\n")


class Stuck(InlineScripts):
    """A process that is not ready, or stays at its first job."""

    def __init__(self, is_new: bool, first: int = 1) -> None:
        super().__init__(judge_of)
        self.first = first
        self.is_new = is_new
        self.held: list[bytes] = []
        self.stopped: list[int] = []

    def submit(self, frame: bytes) -> None:
        self.held.append(frame)

    def at_hand(self) -> int:
        return 0 if self.is_new or not self.held else self.first

    def is_starting(self) -> bool:
        return self.is_new

    def stop(self, number: int) -> None:
        self.stopped.append(number)


def stuck(is_new: bool) -> tuple[Alone, Stuck]:
    alone, host = Alone(), Stuck(is_new)
    alone.node.scripts.host = alone.scripts = host
    return alone, host


def pass_time(alone: Alone, ms: int) -> None:
    alone.now_ms += ms
    alone.wall_ms += ms
    alone.turn()


def test_the_first_script_waits_for_its_process_and_not_for_its_deadline() -> None:
    alone, host = stuck(True)
    client = alone.connect()
    assert client.call(b"EVAL", b"redis.call('set', 'k', 1) return 1", b"1", b"k") == b""
    for _ in range(10):
        pass_time(alone, 1000)
    assert client.session.take() == b""
    host.is_new = False
    alone.scripts = alone.node.scripts.host = InlineScripts(judge_of)
    for frame in host.held:
        alone.scripts.submit(frame)
    alone.turn()
    assert client.session.take() == b":1\r\n"


def test_a_process_that_never_starts_is_not_waited_for_for_ever() -> None:
    alone, _ = stuck(True)
    client = alone.connect()
    client.call(b"EVAL", b"return 1", b"0")
    for _ in range(40):
        pass_time(alone, 1000)
    assert client.session.take().startswith(b"-TIMEOUT")


def test_others_are_answered_that_a_script_is_at_work_once_it_takes_long() -> None:
    for call, other in (((b"EVAL", b"return 1"), b"SCRIPT"), ((b"FCALL", b"f"), b"FUNCTION")):
        alone = Alone()
        client, second = alone.connect(), alone.connect()
        client.call(b"FUNCTION", b"LOAD", b"#!lua name=l\nredis.register_function('f',"
                    b" function() return 1 end)")
        alone.node.scripts.host = alone.scripts = Stuck(False, alone.node.scripts.number() + 1)
        client.call(b"DYN.WITH", b"TIMEOUT", b"20000", *call, b"0")
        assert second.call(b"PING") == b"+PONG\r\n"
        pass_time(alone, 4000)
        pass_time(alone, 1001)
        said = second.call(b"EVAL", b"return 2", b"0")
        assert said.startswith(b"-BUSY Redis is busy") and b"only call %b KILL" % other in said
        assert second.call(b"SET", b"k", b"v") == b"+OK\r\n"


def test_a_script_is_stopped_before_its_client_is_answered() -> None:
    alone, host = stuck(False)
    client = alone.connect()
    client.call(b"EVAL", b"return 1", b"0")
    pass_time(alone, 1850)
    assert not host.stopped
    pass_time(alone, 60)
    assert host.stopped == [1] and client.session.take() == b""
    pass_time(alone, 300)
    assert client.session.take().startswith(b"-TIMEOUT the script did not end in time")


def test_a_member_cannot_flush_scripts_that_are_yet_to_be_loaded() -> None:
    little = Little(3).ready()
    for clock in (CLOCK_MAX, CLOCK_MAX - 1):
        for body in (b"return 6", b""):
            statement = encode_loaded(Loaded(clock, body))
            for name in "BC":
                link = little[name].link_to(little.machines[0].name)
                little[name].scripts.receive_script(link, GOSSIP_SCRIPT + statement)
    sha = little.client("A")("SCRIPT", "LOAD", "return 7")
    little.run(20)
    for name in "BC":
        assert little.client(name)("EVALSHA", sha, "0") == 7
    little.client("B")("SCRIPT", "FLUSH")
    little.run(20)
    found = little.client("C")("SCRIPT", "EXISTS", sha, hashlib.sha1(b"return 6").hexdigest())
    assert found == [0, 0]
