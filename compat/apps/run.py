"""Runs the applications' tests in an environment of their own, against three nodes."""

import subprocess

from compat import places, servers


def run() -> int:
    """0 if all pass."""
    here = places.HERE / "apps"
    python = places.venv("apps-venv", here / "requirements.txt")
    with servers.respdyn(3) as nodes:
        addresses = ",".join(f"{one.host}:{one.port}" for one in nodes)
        done = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--confcutdir", str(here),
             "-c", "/dev/null", "--rootdir", str(here), str(here)],
            env={**places.clean_environment(), "COMPAT_NODES": addresses},
            check=False, cwd=here,
        )
    return done.returncode
