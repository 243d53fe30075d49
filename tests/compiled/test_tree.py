"""What `make run` starts, and what it says: no compiler runs here."""

import sys
from pathlib import Path

import pytest

from compiling import tree
from compiling.modules import CompileError

HERE = Path(sys.executable).parent


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """An empty .compiled, a compiler, and the processes that were started."""
    base = tree.ROOT / ".compiled"
    for name in ("BASE", "CURRENT", "LOG", "FAILED", "LOCK", "TOOLS"):
        monkeypatch.setattr(tree, name, tmp_path / getattr(tree, name).relative_to(base))
    monkeypatch.setattr(tree, "missing", lambda: "")
    found: list[object] = []
    monkeypatch.setattr(tree.subprocess, "Popen", lambda words, **_: found.append(words))
    return found


def put(name: str) -> None:
    """An environment of this name, with `current` on it."""
    (tree.BASE / name / "bin").mkdir(parents=True)
    tree.CURRENT.unlink(missing_ok=True)
    tree.CURRENT.symlink_to(name)


def test_what_is_compiled_from_these_sources_is_started(started: list[object]) -> None:
    put(tree.stamp())
    assert tree.start() == tree.BASE / tree.stamp() / "bin"
    assert not started


def test_what_is_compiled_from_other_sources_is_not(
    started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    put("0123456789abcdef")
    assert tree.start() == HERE
    assert len(started) == 1 and "in the background" in capsys.readouterr().err


def test_without_a_compiler_one_line_says_what_to_install(
    started: list[object], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "missing", lambda: "a C compiler (cc) missing: apt install gcc")
    assert tree.start() == HERE
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith("apt install gcc\n") and not started


def test_a_failure_is_reported_once_and_then_tried_again(
    started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> None:
        raise CompileError("cc -c a.c\na.c:1: error: no\ncc ended with status 1")

    assert tree._tried(failing) == 1
    capsys.readouterr()
    tree.start()
    assert "failed (cc ended with status 1)" in capsys.readouterr().err and not started
    tree.start()
    assert len(started) == 1


def test_two_do_not_compile_at_once(started: list[object]) -> None:
    with tree._alone(waits=False) as first, tree._alone(waits=False) as second:
        assert first and not second
    with tree._alone(waits=False) as third:
        assert third


def test_another_source_is_another_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree.stamp()
    assert tree.stamp() == before
    listed = tree._package()
    monkeypatch.setattr(tree, "_package", lambda: listed[1:])
    assert tree.stamp() != before
