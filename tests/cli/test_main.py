"""The program says what it can do, and what was typed wrong, in one line."""

import argparse
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from respdyn import build
from respdyn.cli.cli import lines
from respdyn.cli.client import ClientError, parse_address
from respdyn.cli.main import PARTS, add_settings, given_settings, main
from respdyn.config import SETTINGS
from tests.server.process import node, run


def test_without_arguments_it_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for name in ("serve", "cluster", "admin", "cli", "sim", "version"):
        assert name in PARTS and f"    {name} " in shown


def test_unknown_words_get_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serv"]) == 2
    assert capsys.readouterr().err == (
        "respdyn: unknown command serv (did you mean 'serve'?); respdyn --help lists them\n"
    )
    assert main(["cli", "--nod", "x"]) == 2
    assert "unknown flag --nod (did you mean '--node'?)" in capsys.readouterr().err
    assert main(["version", "now"]) == 2
    assert "unexpected argument now" in capsys.readouterr().err


def test_every_setting_is_a_flag() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_settings(parser)
    words = [f"--{setting.name}=7" for setting in SETTINGS]
    assert given_settings(parser.parse_args(words)) == {s.name: "7" for s in SETTINGS}
    assert given_settings(parser.parse_args([])) == {}
    assert "%" not in parser.format_help()


def test_each_compiled_module_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cluster").mkdir()
    for name in ("build.py", f"node{EXTENSION_SUFFIXES[0]}", "cluster/link.py",
                 f"cluster/link{EXTENSION_SUFFIXES[0]}", "node.cpython-27-sparc.so"):
        (tmp_path / name).touch()
    monkeypatch.setattr(build, "__file__", str(tmp_path / "build.py"))
    assert build.compiled_modules.__wrapped__() == ("cluster.link", "node")


def test_version_shows_libraries_and_compiled_modules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    shown = capsys.readouterr().out
    assert "hiredis 3" in shown and "compiled modules: " in shown


def test_addresses_may_leave_out_what_is_usual() -> None:
    assert parse_address("10.0.0.1:7000") == ("10.0.0.1", 7000)
    assert parse_address("box") == ("box", 6379)
    assert parse_address(":7000") == ("127.0.0.1", 7000)
    assert parse_address("[::1]:7000") == ("::1", 7000)
    assert parse_address("[::1]") == ("::1", 6379)
    with pytest.raises(ClientError, match="not HOST:PORT"):
        parse_address("box:x")


def test_replies_look_as_in_redis_cli() -> None:
    assert lines(b'a"\\\n\xff') == ['"a\\"\\\\\\n\\xff"']
    assert lines("grün".encode()) == ['"grün"']
    assert lines(b"") == ['""']
    assert lines([]) == ["(empty array)"]
    assert lines([[1, [2, 3]], None]) == [
        "1) 1) (integer) 1", "   2) 1) (integer) 2", "      2) (integer) 3", "2) (nil)"
    ]
    assert lines([1] * 10)[0] == " 1) (integer) 1"


def test_the_line_client_sends_commands_and_shows_errors() -> None:
    with node("--engine=memory", "--requirepass=pw") as (_, port):
        at = f"--node=127.0.0.1:{port}"
        assert run("cli", at, "get", "a").stdout == "(error) NOAUTH Authentication required.\n"
        secret = {"REDISCLI_AUTH": "pw"}
        assert run("cli", at, "set", "a", "x y", env=secret).stdout == '"OK"\n'
        done = run("cli", "--password=pw", at, "get", "a")
        assert (done.stdout, done.returncode) == ('"x y"\n', 0)
        assert run("cli", at, "nonsense", env=secret).returncode == 1
        status = run("admin", at, "status", env=secret).stdout
        assert f"127.0.0.1:{port}" in status and "nodes-up" in status
        assert status.startswith("all well: 1 of 1 nodes up")
        for action in ("verify", "repair"):
            done = run("admin", at, action, env=secret)
            assert "copies are" in done.stdout.splitlines()[0] and done.returncode == 0
        assert '"ring-version": 1' in run("admin", at, "--json", "status", env=secret).stdout
        assert "0-255" in run("admin", at, "ring", env=secret).stdout
    gone = run("admin", at, "status")
    assert gone.returncode == 1
    assert gone.stderr == f"respdyn: no node at 127.0.0.1:{port}: Connection refused\n"
