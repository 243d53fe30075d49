"""Which examples hypothesis tries: always the same, unless the command line gives a seed."""

import sys

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "fixed", derandomize=True, database=None, deadline=None, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile(
    "fresh", database=None, deadline=None, print_blob=True, suppress_health_check=SLOW_IS_FINE
)


def load() -> None:
    """Called by `tests/conftest.py`."""
    is_seeded = any(argument.startswith("--hypothesis-seed") for argument in sys.argv)
    settings.load_profile("fresh" if is_seeded else "fixed")
