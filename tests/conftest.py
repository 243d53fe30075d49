"""What all tests share: programs they need, `--rewrite`, and which examples hypothesis tries."""

import os
import shutil

import pytest

from tests.laws import profile

# Taken away, because every variable that begins like this is a setting to the program under test,
# and an unknown setting is refused. A developer's own settings must not reach a test either.
IN_CI = bool(os.environ.get("RESPDYN_CI"))
for name in [name for name in os.environ if name.startswith("RESPDYN_")]:
    del os.environ[name]

profile.load()

def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true",
        help="write transcripts and golden files anew; read the difference before committing it",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the compiled build comes last: `make test` compiles meanwhile."""
    items.sort(key=lambda item: "compiled_python" in getattr(item, "fixturenames", ()))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("redis-server")`: skip where that program is missing.

    Under CI nothing may be missing, or a test could vanish unseen.
    """
    wanted = {program for mark in item.iter_markers("needs") for program in mark.args}
    missing = sorted(program for program in wanted if find_program(program) is None)
    if missing:
        reason = f"needs {', '.join(missing)}"
        if IN_CI:
            pytest.fail(f"{reason}, and RESPDYN_CI is set", pytrace=False)
        pytest.skip(reason)


def find_program(name: str) -> str | None:
    """The path of a program, looked for where root's programs live as well."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
