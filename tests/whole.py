"""All tests, as `make test` runs them, in two lanes side by side.

Tests of real processes wait most of the time, and use fixed ports: one after another, and at last
those of the compiled build, which is made meanwhile. In the other lane is what needs nothing but
processors: two tests at once, then simulations, which give way to real processes. What failed is
listed at the end.
"""

import subprocess
import sys
import tempfile

REAL = ("tests/cli", "tests/compat", "tests/server", "tests/faults")
COMPILED = ("tests/compiled",)
SIMULATED = ("tests/sim",)
OTHERS = ("-n", "2", *(f"--ignore={one}" for one in (*REAL, *COMPILED, *SIMULATED)))
# Niceness: the compiled build is to be there when its tests begin, simulations last longest.
COMPILING = 5
SIMULATING = 10


def start(words: tuple[str, ...], output: int, niceness: int = 0) -> "subprocess.Popen[str]":
    """Begin some of the tests."""
    nice = ("nice", "-n", str(niceness)) if niceness else ()
    return subprocess.Popen(
        [*nice, sys.executable, "-m", "pytest", "--durations=12", *words],
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


def lane(output: str) -> int:
    """The tests of real processes, one run after the other, into a file; 0 if all passed."""
    with open(output, "w") as kept:
        return max(start(words, kept.fileno()).wait() for words in (REAL, COMPILED))


def main() -> int:
    """Run them; 0 if all passed."""
    runs = []
    subprocess.Popen(       # what goes wrong is shown by the tests that wait for it
        ["nice", "-n", str(COMPILING), sys.executable, "-m", "compiling.tree", "make"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    with tempfile.NamedTemporaryFile("r") as kept:
        real = subprocess.Popen([sys.executable, "-m", "tests.whole", kept.name], text=True)
        for words, niceness in ((OTHERS, 0), (SIMULATED, SIMULATING)):
            process = start(words, subprocess.PIPE, niceness)
            runs.append((process, show(process)))
        real.wait()
        runs.append((real, kept.readlines()))
        print(*runs[-1][1], sep="", end="", flush=True)
    failed = [lines for process, lines in runs if process.returncode]
    for lines in failed:
        named = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        print(*named, lines[-1], sep="", end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(lane(sys.argv[1]) if sys.argv[1:] else main())
