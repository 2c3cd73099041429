"""Medians, ranges, ratios and quantiles."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import summary

seconds = st.lists(st.floats(1e-5, 1e3), min_size=1, max_size=40)


def row(times: list[float], metric: str = "tokens/s", tokens: int = 100, case: str = "a") -> dict[str, Any]:
    rounds = [
        {"number": number, "median": time, "least": time, "repeats": 1, "cpu_seconds": 2 * time}
        for number, time in enumerate(times, 1)
    ]
    return {"metric": metric, "tokens": tokens, "case": case, "rounds": rounds}


def test_tokens_a_second_and_milliseconds() -> None:
    assert summary.figures(row([0.5, 0.25, 1.0])) == {"median": 200, "low": 100, "high": 400}
    assert summary.figures(row([0.5, 0.25, 1.0], "ms")) == {"median": 500, "low": 250, "high": 1000}


def test_ratios_are_taken_round_by_round() -> None:
    ours, theirs = row([1.0, 3.0]), row([2.0, 3.0])
    assert summary.speedups(ours, theirs) == [2.0, 1.0]
    assert summary.ratios(ours, theirs) == [2.0, 1.0]
    assert summary.ratios(row([1.0, 3.0], "ms"), row([2.0, 3.0], "ms")) == [0.5, 1.0]


def test_a_round_that_one_of_the_two_lacks_is_no_ratio() -> None:
    ours, theirs = row([1.0, 3.0]), row([2.0, 9.0])
    del ours["rounds"][0]
    assert summary.speedups(ours, theirs) == [3.0]
    assert summary.speedups(theirs, ours) == [1 / 3]
    del theirs["rounds"][1]
    assert summary.speedups(ours, theirs) == [2 / 3]  # no round in common: of the medians


def test_across_cases_tokens_a_second_are_compared_and_not_calls() -> None:
    mixed, even = row([1.0], tokens=90, case="ragged"), row([1.0], tokens=100, case="even")
    assert summary.ratios(mixed, even) == [pytest.approx(0.9)]


def test_fastest_leaves_out_what_was_not_timed() -> None:
    slow, quick = row([2.0]), row([1.0])
    assert summary.fastest([slow, row([]), quick]) is quick
    assert summary.fastest([row([])]) is None


@given(seconds, st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_quantile_is_the_nearest_rank(values: list[float], share: float) -> None:
    assert summary.quantile(values, share) == np.quantile(values, share, method="inverted_cdf")


@given(seconds, seconds)
def test_speedup_the_other_way_is_the_inverse(ours: list[float], theirs: list[float]) -> None:
    there, back = summary.speedups(row(ours), row(theirs)), summary.speedups(row(theirs), row(ours))
    assert np.allclose(np.array(there) * back, 1)


def test_processor_seconds_count_all_threads() -> None:
    assert summary.cpu_seconds_per_1000_tokens(row([0.5], tokens=2000)) == pytest.approx(0.5)
    assert summary.joules_per_1000_tokens(row([0.5])) is None
