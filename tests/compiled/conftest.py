"""The compiled build of these sources, made once for all who ask; they are asked last."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiling.modules import missing
from tests.conftest import IN_CI

ROOT = Path(__file__).parents[2]
# Variables that pytest or a developer has set and that a second pytest would take for its own.
FOREIGN = ("PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST")


@pytest.fixture(scope="session")
def compiled_python() -> Path:
    """An interpreter that runs the compiled build. Waits for `make test`'s compiling."""
    reason = missing()
    if reason:
        if IN_CI:
            pytest.fail(f"{reason}, and RESPDYN_CI is set", pytrace=False)
        pytest.skip(reason)
    if not IN_CI and tree("which") == Path(sys.executable).parent:
        pytest.skip("not compiled yet: make compiled")
    subprocess.run([sys.executable, "-m", "compiling.tree", "make"], cwd=ROOT, check=True)
    programs = tree("which")
    assert programs != Path(sys.executable).parent
    return programs / "python"


def tree(word: str) -> Path:
    """What `compiling.tree` says to that."""
    return Path(subprocess.run(
        [sys.executable, "-m", "compiling.tree", word], cwd=ROOT, check=True, text=True,
        stdout=subprocess.PIPE,
    ).stdout.strip())


def environment() -> dict[str, str]:
    """For a process that is to know nothing of the one that starts it."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}
