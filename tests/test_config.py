"""Every setting is declared once; values come in a fixed precedence; contradictions are refused."""

from dataclasses import fields, replace

import pytest

from respdyn.config import (
    SETTINGS,
    Settings,
    check,
    load,
    settle,
    show,
)
from respdyn.config_redis import ACCEPTED, FIXED
from respdyn.config_redis import BY_NAME as REDIS_NAMES
from respdyn.config_values import ConfigError
from respdyn.config_view import _BY_CONFIG_NAME, change, redis_view

THREE = {"seeds": "127.0.0.1:16379,127.0.0.2:16379,127.0.0.3:16379", "cluster-size": "3"}


def refusal(flags: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(flags, {})
    return str(caught.value)


def test_declarations_and_fields_agree() -> None:
    declared = {setting.field: setting.default for setting in SETTINGS}
    typed = {field.name: field.default for field in fields(Settings)}
    assert typed.pop("accepted") == ()
    assert declared == typed
    assert list(declared) == list(typed)
    for field in fields(Settings)[:-1]:
        assert type(declared[field.name]).__name__ in str(field.type)


def test_declarations_are_sane() -> None:
    names = [setting.name for setting in SETTINGS]
    assert len(set(names)) == len(names)
    for setting in SETTINGS:
        assert setting.doc and not setting.doc.endswith(".")
        if isinstance(setting.default, int) and setting.kind != "flag":
            assert setting.low <= setting.default <= setting.high
        if setting.kind == "choice":
            assert setting.default in setting.choices
    assert not set(FIXED) & set(_BY_CONFIG_NAME)
    assert not set(REDIS_NAMES) & {*_BY_CONFIG_NAME, *FIXED}
    assert len(REDIS_NAMES) == len(ACCEPTED) + sum(1 for one in ACCEPTED if one.also)


def test_shown_values_parse_back_to_themselves() -> None:
    settings = load({**THREE, "requirepass": "a b", "protected-mode": "no", "n": "2"}, {})
    shown = {setting.name: show(setting, settings) for setting in SETTINGS}
    assert load({name: text for name, text in shown.items() if text}, {}) == settings


def test_flag_before_environment_before_file_before_default() -> None:
    file = 'port = 1111\nhttp_port = 2222\nrequest-timeout = "3s"\nprotected-mode = false\n'
    env = {"RESPDYN_PORT": "3333", "RESPDYN_HTTP_PORT": "4444", "RESPDYN_ZONE": "", "PORT": "9"}
    settings = load({"port": "5555"}, env, file)
    assert (settings.client_port, settings.http_port) == (5555, 4444)
    assert settings.request_timeout_ms == 3000
    assert not settings.protected_mode
    assert settings.zone == "" and settings.max_clients == 10_000


def test_ports_and_copies_follow_from_what_was_given() -> None:
    alone = load({}, {})
    assert (alone.cluster_port, alone.peer_port, alone.http_port) == (7379, 16379, 8379)
    assert alone.n == 1
    assert load(THREE, {}).n == 3
    assert settle(alone) == alone


@pytest.mark.parametrize(("text", "milliseconds"), [
    ("250", 250), ("250ms", 250), ("2s", 2000), ("3m", 180_000), ("1h", 3_600_000),
])
def test_times_carry_units(text: str, milliseconds: int) -> None:
    assert load({"request-timeout": text}, {}).request_timeout_ms == milliseconds


@pytest.mark.parametrize("text", ["1_000", " 4", "+4", "٤", "4.5", "0x10", "", "9" * 5000])
def test_python_numbers_are_not_numbers(text: str) -> None:
    assert "--max-clients" in refusal({"max-clients": text})


def test_bytes_have_redis_units() -> None:
    assert load({"client-output-limit": "2mb"}, {}).client_output_limit == 2 << 20
    assert load({"client-output-limit": "2M"}, {}).client_output_limit == 2_000_000


@pytest.mark.parametrize(("flags", "parts"), [
    ({**THREE, "r": "4"}, ("r 4", "n (3)")),
    ({**THREE, "w": "4"}, ("w 4", "n (3)")),
    ({"n": "3"}, ("n 3", "cluster of one")),
    ({**THREE, "cluster-size": "2"}, ("cluster-size 2", "n (3)")),
    ({"hint-max-age": "23h", "max-clock-offset": "1h"}, ("hint-max-age", "tombstone-grace")),
    ({"tombstone-grace": "10801000"}, ("hint-max-age", "tombstone-grace")),
    ({"cluster-port": "6379"}, ("cluster-port 6379", "same as port")),
    ({"http-port": "16379"}, ("http-port 16379", "same as peer-port")),
    ({"port": "60000"}, ("peer-port 70000", "out of range")),
    ({"port": "0"}, ("port 0", "--tls-port")),
    ({"port": "65536"}, ("--port", "between 0 and 65535")),
    ({"partitions": "100"}, ("partitions 100", "power of two")),
    ({"partitions": "32768"}, ("--partitions", "16384")),
    ({"failure-timeout": "500"}, ("failure-timeout 500", "heartbeat")),
    ({"node-id": "abc"}, ("node-id abc", "40")),
    ({"seeds": "somewhere"}, ("seeds somewhere", "HOST:PEERPORT")),
    ({**THREE, "bind": "0.0.0.0"}, ("peer-secret", "0.0.0.0")),
    ({"peer-secret": "a", "peer-secret-file": "b"}, ("peer-secret-file", "give one")),
    ({"requirepass": "a", "requirepass-file": "b"}, ("requirepass-file", "give one")),
    ({"siblings-warn": "200"}, ("siblings-warn 200", "siblings-max")),
    ({"client-output-soft": "100mb"}, ("client-output-soft", "client-output-limit")),
    ({"peer-frame-limit": "512mb"}, ("peer-frame-limit", "proto-max-bulk-len")),
    ({"announce-host": "h" * 256}, ("announce-host", "255")),
    ({"zone": "a b"}, ("zone a b", "one word")),
    ({"engine": "mysql"}, ("--engine", "mysql", "rocksdb, memory")),
    ({"protected-mode": "maybe"}, ("--protected-mode", "'yes' or 'no'")),
])
def test_contradictions_name_setting_value_and_reason(
    flags: dict[str, str], parts: tuple[str, ...]
) -> None:
    text = refusal(flags)
    assert "\n" not in text
    for part in parts:
        assert part in text


def test_unknown_names_are_refused_with_the_nearest() -> None:
    assert "--prot: unknown setting (did you mean 'port'?)" in refusal({"prot": "1"})
    with pytest.raises(ConfigError, match="RESPDYN_ENGIN: unknown setting .*'engine'"):
        load({}, {"RESPDYN_ENGIN": "memory"})
    with pytest.raises(ConfigError, match="r.toml: sedes: unknown setting .*'seeds'"):
        load({}, {}, "sedes = 3", "r.toml")
    with pytest.raises(ConfigError, match="r.toml: .*line 1"):
        load({}, {}, "sedes = = 3", "r.toml")
    with pytest.raises(ConfigError, match="r.toml: n: must be"):
        load({}, {}, "n = 1.5", "r.toml")


def test_variables_of_a_kubernetes_service_are_not_ours() -> None:
    env = {
        "RESPDYN_PORT": "tcp://10.0.0.1:6379", "RESPDYN_SERVICE_HOST": "10.0.0.1",
        "RESPDYN_SERVICE_PORT": "6379", "RESPDYN_SERVICE_PORT_CLIENTS": "6379",
        "RESPDYN_PORT_6379_TCP": "tcp://10.0.0.1:6379", "RESPDYN_PORT_6379_TCP_ADDR": "10.0.0.1",
    }
    assert load({}, env) == load({}, {})


def test_secrets_are_not_in_what_is_shown() -> None:
    settings = load({"peer-secret": "s3cret"}, {})
    assert "s3cret" not in str(redis_view(settings))
    assert "s3cret" not in refusal({"peer-secret": "s3cret\n"})


def test_config_get_answers_what_tools_ask() -> None:
    view = redis_view(load({"requirepass": "x", "max-clients": "77"}, {}))
    wanted = {
        "save": "", "appendonly": "yes", "appendfsync": "everysec", "maxmemory": "0",
        "maxmemory-policy": "noeviction", "databases": "16", "timeout": "0",
        "tcp-keepalive": "300", "maxclients": "77", "port": "6379", "requirepass": "x",
        "protected-mode": "yes", "proto-max-bulk-len": "536870912", "bind": "127.0.0.1",
    }
    assert {name: view[name] for name in wanted} == wanted
    assert redis_view(load({"engine": "memory"}, {}))["appendonly"] == "no"
    assert list(view) == sorted(view)


def test_config_set_changes_all_or_nothing() -> None:
    settings = load({}, {})
    changed = change(
        settings, [("MaxClients", "5"), ("request-timeout", "1s"), ("save", "3600 1"), ("HZ", "5")]
    )
    assert (changed.max_clients, changed.request_timeout_ms) == (5, 1000)
    assert changed.accepted == (("hz", "5"), ("save", "3600 1"))
    again = [("max-clients", "10000"), ("request-timeout", "2000"), ("save", ""), ("hz", "10")]
    assert change(changed, again) == settings


@pytest.mark.parametrize(("changes", "text"), [
    ({"foo": "1"}, "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
    ({"port": "1"}, "(possibly related to argument 'port') - can't set immutable config"),
    ({"databases": "3"}, "(possibly related to argument 'databases') - can't set immutable"),
    ({"dir": "/x"}, "(possibly related to argument 'dir') - can't set protected config"),
    ({"maxclients": "05"}, "'maxclients') - argument couldn't be parsed into an integer"),
    ({"maxmemory": "-1"}, "'maxmemory') - argument must be a memory value"),
    ({"hz": "x", "foo": "1"}, "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
    ({"hz": "5", "save": "1"}, "'save') - Invalid save parameters"),
    ({"maxmemory-policy": "allkeys-lru"}, "'maxmemory-policy') - respdyn evicts nothing"),
    ({"min-slaves-to-write": "1"}, "'min-slaves-to-write') - there are no replicas: set w"),
    ({"appendfsync": "always", "hz": "5"}, "'appendfsync') - appendfsync always: durability"),
    ({"enable-debug-command": "yes"}, "can't set immutable config"),
    ({"maxclients": "abc"}, "'maxclients') - argument couldn't be parsed into an integer"),
    ({"maxclients": "0"}, "'maxclients') - argument must be between 1 and 4294967295 inclusive"),
    ({"protected-mode": "x"}, "'protected-mode') - argument must be 'yes' or 'no'"),
    ({"proto-max-bulk-len": "abc"}, "'proto-max-bulk-len') - argument must be a memory value"),
    ({"siblings-warn": "2000"}, "siblings-max"),
    ({"peer-secret": "x"}, "Unknown option"),
])
def test_config_set_refuses_in_redis_words(changes: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        change(load({}, {}), list(changes.items()))
    assert str(caught.value).startswith("ERR ")
    assert text in str(caught.value)


def test_what_asks_for_less_than_there_is_is_accepted() -> None:
    for name, text in (("appendfsync", "no"), ("appendfsync", "everysec"), ("appendonly", "no"),
                       ("appendonly", "yes")):
        settings = change(load({}, {}), [(name, text)])
        assert redis_view(settings)[name] == text
        assert (settings.durability, settings.engine) == ("everysec", "rocksdb")
    with pytest.raises(ConfigError, match="appendonly yes: engine is memory"):
        change(load({"engine": "memory"}, {}), [("appendonly", "yes")])


def test_settings_without_effect_may_stand_in_the_file() -> None:
    settings = load({}, {}, 'hz = 50\nlua-time-limit = 7\nsave = "900 1"\n', "r.toml")
    view = redis_view(settings)
    assert (view["hz"], view["busy-reply-threshold"], view["lua-time-limit"]) == ("50", "7", "7")
    assert view["save"] == "900 1"
    for line, reason in (("hz = -1", "r.toml: hz: '-1' must be between 0 and 2147483647"),
                         ('maxmemory-policy = "allkeys-lru"', "respdyn evicts nothing"),
                         ('appendfsync = "always"', "durability, which is fixed"),
                         ("databases = 3", "unknown setting")):
        with pytest.raises(ConfigError, match=reason):
            load({}, {}, line, "r.toml")


def test_check_accepts_what_the_simulator_builds() -> None:
    check(settle(replace(Settings(), seeds=("10.0.0.1:1",), cluster_size=5, n=3, r=2, w=2,
                         peer_secret="x")))
