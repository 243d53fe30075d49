"""A node begins once more with large pages, where it can, and only once."""

import sys
from pathlib import Path

import pytest

from respdyn.cli import large_pages
from respdyn.cli.large_pages import begin_anew, environment


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that gives them on demand."""
    path = tmp_path / "enabled"
    path.write_text("always [madvise] never\n")
    monkeypatch.setattr(large_pages, "_SYSTEM", path)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    return path


def test_they_are_asked_for_beside_what_is_asked_for_already(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment() == {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")
    expected = "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"
    assert environment() == {"GLIBC_TUNABLES": expected}
    for said in (expected, "glibc.malloc.hugetlb=0"):
        monkeypatch.setenv("GLIBC_TUNABLES", said)
        assert environment() == {}, "who has said it is not asked again"


@pytest.mark.parametrize("setting", ["[always] madvise never", "always madvise [never]"])
def test_a_system_that_gives_them_to_all_or_none_is_not_asked(system: Path, setting: str) -> None:
    system.write_text(setting)
    assert environment() == {}


def test_other_systems_and_libraries_are_left_alone(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for found in (("glibc", "2.31"), ("", ""), ("musl", "1.2")):
        monkeypatch.setattr("platform.libc_ver", lambda found=found: found)
        assert environment() == {}
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    system.unlink()
    assert environment() == {}


def test_the_program_begins_anew_as_it_was_called(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, list[str], str]] = []

    def execve(path: str, words: list[str], held: dict[str, str]) -> None:
        calls.append((path, words, held["GLIBC_TUNABLES"]))

    monkeypatch.setattr("os.execve", execve)
    begin_anew()
    assert not calls, "this is no program of ours"
    monkeypatch.setattr(sys, "argv", ["/x/bin/respdyn", "serve", "--port", "7"])
    given = ["python", "-P", "/x/bin/respdyn", "serve", "--port", "7"]
    monkeypatch.setattr(sys, "orig_argv", given)
    begin_anew()
    words = [sys.executable, "-P", "/x/bin/respdyn", "serve", "--port", "7"]
    assert calls == [(sys.executable, words, "glibc.malloc.hugetlb=1")]
