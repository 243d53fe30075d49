"""Libraries in a little cluster: known everywhere at once, kept, and the later one after a cut."""

from tests.commands.alone import Alone
from tests.little import Client, Little


def library(name: str, reply: str, function: str = "f") -> str:
    return (
        f"#!lua name={name}\nredis.register_function('{function}',"
        f" function(keys, args) return '{reply}' .. (keys[1] or '') end)"
    )


COUNT = (
    "#!lua name=counting\nredis.register_function('count', function(keys)"
    " return redis.call('incr', keys[1]) end)"
)


def clients_of_all(little: Little) -> list[Client]:
    return [little.client(name) for name in "ABC"]


def said(little: Little, function: str = "f") -> list[object]:
    return [client("FCALL", function, 0) for client in clients_of_all(little)]


def test_a_library_is_known_at_every_node_when_its_load_is_answered() -> None:
    little = Little(3).ready()
    assert little.client("A")("FUNCTION", "LOAD", library("a", "one")) == b"a"
    for name in "BC":
        assert little.client(name)("FCALL", "f", 0) == b"one"
    assert little.client("B")("FUNCTION", "LOAD", "REPLACE", library("a", "two")) == b"a"
    assert said(little) == [b"two"] * 3
    assert little.client("C")("FUNCTION", "DELETE", "a") == b"OK"
    assert said(little) == ["ERR Function not found"] * 3


def test_a_function_runs_at_the_coordinator_of_its_first_key() -> None:
    little = Little(3).ready()
    little.client("A")("FUNCTION", "LOAD", COUNT)
    key = little.key_of("B")
    for number, client in enumerate(clients_of_all(little), 1):
        assert client("FCALL", "count", 1, key) == number
    assert little.client("A")("GET", key) == b"3"


def test_libraries_are_there_after_all_nodes_have_begun_anew() -> None:
    little = Little(3).ready()
    little.client("A")("FUNCTION", "LOAD", library("a", "kept"))
    little.client("A")("FUNCTION", "LOAD", library("b", "gone", "g"))
    little.client("B")("FUNCTION", "DELETE", "b")
    begin_anew(little)
    assert said(little) == [b"kept"] * 3
    assert said(little, "g") == ["ERR Function not found"] * 3


def isolate(little: Little, name: str) -> None:
    for other in "ABC".replace(name, ""):
        little.cut(name, other)


def begin_anew(little: Little) -> None:
    little.run(20)
    for name in "ABC":
        little.kill(name)
    for name in "ABC":
        little.boot(name)
    little.ready()


def test_after_a_cut_the_later_version_is_everywhere() -> None:
    little = Little(3).ready()
    little.client("A")("FUNCTION", "LOAD", library("a", "before"))
    isolate(little, "C")
    assert little.client("C")("FUNCTION", "LOAD", "REPLACE", library("a", "earlier")) == b"a"
    assert little.client("A")("FUNCTION", "LOAD", "REPLACE", library("a", "later")) == b"a"
    assert said(little) == [b"later", b"later", b"earlier"]
    little.heal()
    little.until(lambda: said(little) == [b"later"] * 3)


def test_of_two_libraries_with_one_function_the_later_has_it() -> None:
    little = Little(3).ready()
    isolate(little, "C")
    assert little.client("A")("FUNCTION", "LOAD", library("a", "earlier")) == b"a"
    assert little.client("C")("FUNCTION", "LOAD", library("c", "later")) == b"c"
    little.heal()
    little.until(lambda: said(little) == [b"later"] * 3)
    assert little.client("A")("FUNCTION", "DELETE", "c") == b"OK"
    assert said(little) == [b"earlier"] * 3


def test_what_was_flushed_does_not_come_back() -> None:
    little = Little(3).ready()
    little.client("A")("FUNCTION", "LOAD", library("a", "old"))
    isolate(little, "C")
    little.client("C")("FUNCTION", "LOAD", library("c", "unheard", "g"))
    assert little.client("A")("FUNCTION", "FLUSH") == b"OK"
    little.client("A")("FUNCTION", "LOAD", library("n", "new", "h"))
    little.heal()
    little.until(lambda: said(little, "h") == [b"new"] * 3)
    assert said(little) == said(little, "g") == ["ERR Function not found"] * 3
    begin_anew(little)
    assert said(little, "h") == [b"new"] * 3
    assert said(little) == said(little, "g") == ["ERR Function not found"] * 3


def test_a_function_that_runs_is_shown_and_ended() -> None:
    little = Little(3).ready()
    a, b = little.key_of("A"), little.key_of("B")
    client, scripts = little.client("A"), little["A"].scripts
    assert client("FUNCTION", "KILL") == "NOTBUSY No scripts in execution right now."
    client("FUNCTION", "LOAD", "#!lua name=s\nredis.register_function('s', function(keys, args)"
           " redis.call('set', keys[1], 1) return redis.call('get', args[1]) end)")
    little.holds.add((0, 1))
    client.send("FCALL", "S", 1, a, b)
    little.run(5)
    assert scripts.ran() == (b"s", [b"fcall", b"s", b"1", a.encode(), b.encode()], 5)
    assert little.client("A")("FUNCTION", "STATS") is not None


def test_rights_and_room_are_asked_for_functions() -> None:
    alone = Alone()
    client = alone.connect()
    client.call(b"FUNCTION", b"LOAD", COUNT.encode())
    client.say("ACL SETUSER u on >p ~a* +fcall +incr")
    client.say("AUTH u p")
    assert client.call(b"FCALL", b"count", b"1", b"a") == b":1\r\n"
    assert client.call(b"FCALL", b"count", b"1", b"b").startswith(b"-NOPERM")
    assert client.call(b"FUNCTION", b"FLUSH").startswith(b"-NOPERM")


def test_a_function_that_must_not_run_in_a_cluster_is_refused_on_that_port() -> None:
    alone = Alone()
    code = (b"#!lua name=l\nredis.register_function{function_name='f', flags={'no-cluster'},"
            b" callback=function() return 1 end}")
    alone.connect().call(b"FUNCTION", b"LOAD", code)
    assert alone.connect().call(b"FCALL", b"f", b"0") == b":1\r\n"
    said = b"-ERR Can not run script on cluster, 'no-cluster' flag is set.\r\n"
    assert alone.connect(listener="cluster").call(b"FCALL", b"f", b"0") == said


def test_there_is_an_end_to_libraries() -> None:
    alone = Alone().connect()
    for number in range(1000):
        code = library(f"l{number}", "x", f"f{number}").encode()
        assert alone.call(b"FUNCTION", b"LOAD", code)[:1] == b"$"
    more = library("more", "x", "more").encode()
    assert alone.call(b"FUNCTION", b"LOAD", more).startswith(b"-ERR no more than 1000 libraries")
    assert alone.say("FUNCTION FLUSH") == b"+OK\r\n"
    assert alone.call(b"FUNCTION", b"LOAD", more)[:1] == b"$"
    assert b"number_of_libraries:1\r\n" in alone.say("INFO memory")
