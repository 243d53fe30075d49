"""Histograms count what they were given, in the bucket that its bound says."""

from respdyn.cluster.statistics import Counters
from respdyn.metrics import LATENCY_BOUNDS_US, Histogram


def test_a_value_on_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((10, 100))
    for value in (0, 10, 11, 100, 101):
        histogram.observe(value)
    assert histogram.cumulative() == [2, 4, 5]
    assert (histogram.count, histogram.total) == (5, 222)


def test_quantiles_are_bounds() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.99) == 0
    for _ in range(99):
        histogram.observe(60)
    histogram.observe(10**9)
    assert histogram.quantile(0.5) == 100
    assert histogram.quantile(0.999) == LATENCY_BOUNDS_US[-1]


def test_every_counter_has_its_row() -> None:
    counters = Counters()
    counters.timeouts = 7
    assert dict(counters.rows()) == vars(counters) and counters.rows()[8] == ("timeouts", 7)
