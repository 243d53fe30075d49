"""All tests, as `make test` runs them: real processes beside all others, then simulations.

Tests of real processes wait most of the time, and use fixed ports: one after another. The others
need nothing of one another: two at once beside them. Simulations use all cores by themselves, and
the compiled build, which is made meanwhile, comes last. What failed is listed at the end.
"""

import subprocess
import sys
import tempfile

REAL = ("tests/cli", "tests/compat", "tests/server", "tests/faults")
LAST = ("tests/sim", "tests/compiled")
OTHERS = ("-n", "2", *(f"--ignore={folder}" for folder in (*REAL, *LAST)))


def start(words: tuple[str, ...], output: int) -> "subprocess.Popen[str]":
    """Begin some of the tests."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *words],
        stdout=output, stderr=subprocess.STDOUT, text=True,
    )


def show(process: "subprocess.Popen[str]") -> list[str]:
    """Print what a run says as it comes; its lines."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    process.wait()
    return lines


def main() -> int:
    """Run them; 0 if all passed."""
    runs = []
    with tempfile.TemporaryFile("w+") as kept:
        real = start(REAL, kept.fileno())
        others = start(OTHERS, subprocess.PIPE)
        runs.append((others, show(others)))
        real.wait()
        kept.seek(0)
        runs.append((real, kept.readlines()))
        print(*runs[-1][1], sep="", end="", flush=True)
    last = start(LAST, subprocess.PIPE)
    runs.append((last, show(last)))
    failed = [lines for process, lines in runs if process.returncode]
    for lines in failed:
        named = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        print(*named, lines[-1], sep="", end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
