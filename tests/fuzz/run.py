"""`make fuzz`: nonsense for every surface, for a while each; the seed of what fails is printed.

    python -m tests.fuzz.run [SECONDS] [SURFACE...]
"""

import random
import sys
import time

from tests.fuzz.surfaces import surfaces


def main(words: list[str]) -> int:
    """Exit status 1 if anything was found."""
    seconds = float(words[0]) if words else 600.0
    found = 0
    for name, say in surfaces().items():
        if words[1:] and name not in words[1:]:
            continue
        began, seed = time.monotonic(), time.time_ns() % 1_000_000_000
        first = seed
        while time.monotonic() - began < seconds:
            seed += 1
            try:
                say(random.Random(f"{name}/{seed}"))
            except Exception as wrong:      # whatever it is: that is what is looked for
                found += 1
                print(f"{name}: seed {seed}: {wrong!r}", flush=True)
                break
        print(f"{name}: {seed - first} inputs", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
