"""Simulations in as many processes as there are cores: one seed needs nothing of another."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest


@pytest.fixture(scope="session")
def cores() -> Iterator[ProcessPoolExecutor]:
    """Processes that run simulations."""
    with ProcessPoolExecutor(os.cpu_count() or 1, get_context("spawn")) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)
