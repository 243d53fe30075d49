"""Users with files and processes: aclfile at start, ACL SAVE and LOAD, and who may connect."""

import socket
import stat
from pathlib import Path

import redis

from tests.server.process import node, run


def connect(port: int, **more: str) -> "redis.Redis[str]":
    return redis.Redis(port=port, decode_responses=True, socket_timeout=10, **more)  # type: ignore[call-overload,no-any-return]


def test_the_file_is_read_at_start_and_written_by_acl_save(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user default on >top ~* &* +@all\n\nuser alice on >wonder ~a* +get +set\n")
    flags = ["--data-dir", str(tmp_path / "d"), "--aclfile", str(path), "--durability=always"]
    with node(*flags) as (one, port):
        alice = connect(port, username="alice", password="wonder")
        assert alice.set("a1", "v") and alice.get("a1") == "v"
        admin = connect(port, username="default", password="top")
        admin.execute_command("ACL", "SETUSER", "bob", "on", ">builder", "+ping")
        assert admin.execute_command("ACL", "SAVE") == "OK"
        written = path.read_text()
        assert written.count("user ") == 3 and "wonder" not in written and "#" in written
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.write_text(written + "user carol on nopass +ping\nuser dave +nope\n")
        answer = ""
        try:
            admin.execute_command("ACL", "LOAD")
        except redis.ResponseError as wrong:
            answer = str(wrong)
        assert "Error in applying operation '+nope'" in answer and "no change" in answer
        assert len(admin.acl_users()) == 3
        path.write_text("user default on >top ~* &* +@all\nuser carol on nopass +ping\n")
        assert admin.execute_command("ACL", "LOAD") == "OK"
        assert admin.acl_users() == ["carol", "default"]
        path.unlink()
        output = one.output
    with node(*flags[:2]) as (one, port):       # what was said of users since outlives the file
        admin = connect(port, username="default", password="top")
        assert admin.acl_users() == ["carol", "default"]
        assert connect(port, username="carol", password="x").execute_command("PING") is not False
    for secret in ("wonder", "builder", "top"):
        assert f" {secret}" not in output and f"={secret}" not in output


def test_a_file_with_a_mistake_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user default on nopass ~* +@all\nuser x #nohash\nnonsense\n")
    ended = run("serve", "--port=21650", "--http-port=0", f"--data-dir={tmp_path / 'd'}",
                f"--aclfile={path}")
    assert ended.returncode == 2
    assert "users.acl:2: The password hash must be" in ended.stderr
    assert "users.acl:3 should start with user" in ended.stderr and "nohash" not in ended.stderr
    path.unlink()
    ended = run("serve", "--port=21650", "--http-port=0", f"--data-dir={tmp_path / 'd'}",
                f"--aclfile={path}")
    assert ended.returncode == 2 and "No such file" in ended.stderr


def test_a_failed_login_is_logged_once_and_reveals_nothing(tmp_path: Path) -> None:
    with node("--data-dir", str(tmp_path / "d"), "--requirepass", "topsecret") as (one, port):
        for attempt in range(5):
            with socket.create_connection(("127.0.0.1", port)) as wire:
                wire.sendall(b"AUTH hunter%d\r\n" % attempt)
                assert wire.recv(1000).startswith(b"-WRONGPASS invalid username-password pair")
        assert one.output.count("login_failed") == 1
        assert "hunter" not in one.output and "topsecret" not in one.output
