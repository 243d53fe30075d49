"""Backups that can be restored, SHUTDOWN, CONFIG REWRITE and maxmemory, with real processes."""

import time
from pathlib import Path

import pytest
import redis

from tests.server.process import node


def connect(port: int) -> "redis.Redis[str]":
    return redis.Redis(port=port, decode_responses=True, socket_timeout=20)  # type: ignore[call-overload,no-any-return]


def test_a_backup_is_a_data_directory_of_a_new_life(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with node(f"--data-dir={data}", "--backups-kept=2") as (one, port):
        client = connect(port)
        life = one.says(r"actor=(\w+)")[1]
        pipeline = client.pipeline(transaction=False)
        for number in range(2000):
            pipeline.set(f"k{number}", f"v{number}")
        pipeline.execute_command("SAVE")        # in one go: what came before it is in it
        assert pipeline.execute()[-1] in (True, "OK")
        saved = client.lastsave()
        for number in range(100):
            client.delete(f"k{number}")
        client.set("later", "x")
        found = sorted((data / "backups").glob("backup-*"))
        assert len(found) == 1
        assert client.info("persistence")["rdb_saves"] == 1
        kept = tmp_path / "kept"
        found[0].rename(kept)
        for _ in range(4):
            assert client.bgsave()
            while client.info("persistence")["rdb_bgsave_in_progress"]:
                time.sleep(0.02)
        assert client.lastsave() >= saved
        one.says("backup_made(.|\n)*backup_made(.|\n)*backup_made(.|\n)*backup_made")
        deadline = time.monotonic() + 10
        while len(list((data / "backups").glob("backup-*"))) > 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert client.dbsize() == 1901
    with node(f"--data-dir={kept}") as (one, port):
        client = connect(port)
        one.says("life=new")
        one.says("backup_restored")
        assert "record_damaged" not in one.output and one.says(r"damaged=(\d+)")[1] == "0"
        assert one.says(r"actor=(\w+)")[1] != life
        assert client.dbsize() == 2000
        assert client.get("k0") == "v0" and client.get("k1999") == "v1999"
        assert client.get("later") is None
        assert client.set("k0", "w") and client.get("k0") == "w"
    with node(f"--data-dir={kept}") as (one, port):         # its second start is an ordinary one
        one.says("life=same")
        assert connect(port).get("k0") == "w"


def test_a_memory_engine_has_no_backup(tmp_path: Path) -> None:
    with node("--engine=memory", f"--data-dir={tmp_path / 'd'}") as (_, port), \
            pytest.raises(redis.ResponseError, match="keeps nothing on disk"):
        connect(port).bgsave()


def test_shutdown_is_as_sigterm(tmp_path: Path) -> None:
    with node(f"--data-dir={tmp_path / 'd'}") as (one, port):
        client = connect(port)
        client.set("k", "v")
        client.shutdown()
        assert one.process.wait(10) == 0
        assert "stopping signal=SHUTDOWN" in one.output and "flushed=yes" in one.output
    with node(f"--data-dir={tmp_path / 'd'}") as (one, port):
        assert connect(port).get("k") == "v"
        connect(port).shutdown(save=True)
        assert one.process.wait(10) == 0
        assert "backup_made" in one.output
        assert len(list((tmp_path / "d" / "backups").glob("backup-*"))) == 1


def test_what_config_set_changed_is_there_after_a_rewrite(tmp_path: Path) -> None:
    path = tmp_path / "respdyn.toml"
    path.write_text("# ours\ntimeout = 50\n")
    words = [f"--config={path}", f"--data-dir={tmp_path / 'd'}"]
    with node(*words) as (one, port):
        client = connect(port)
        client.config_set("timeout", 60, "maxclients", 77)
        assert client.config_rewrite()
        one.says("config_rewritten")
        assert path.read_text() == "# ours\ntimeout = 60\nmax-clients = 77\n"
    with node(*words) as (_, port):
        assert connect(port).config_get("timeout", "maxclients") == {
            "timeout": "60", "maxclients": "77",
        }
    with node(f"--data-dir={tmp_path / 'd'}") as (_, port), \
            pytest.raises(redis.ResponseError, match="without a config file"):
        connect(port).config_rewrite()


def test_memory_beyond_the_limit_refuses_writes(tmp_path: Path) -> None:
    with node(f"--data-dir={tmp_path / 'd'}") as (_, port):
        client = connect(port)
        client.set("k", "v")
        client.config_set("maxmemory", "1kb")
        time.sleep(2.2)
        with pytest.raises(redis.OutOfMemoryError):
            client.set("k", "w")
        assert client.get("k") == "v" and client.delete("k") == 1
        client.config_set("maxmemory", "100gb")
        time.sleep(2.2)
        assert client.set("k", "w")
