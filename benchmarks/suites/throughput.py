"""Tokens a second of batches and milliseconds of single texts, beside every peer, with the goals."""

from typing import Any

from benchmarks.suites import Settings
from benchmarks.suites._contests import run_contests
from benchmarks.workloads import equal, ragged, ragged_mean

HELP = "batches and single texts beside every peer, with the goals"
MODELS = ("base", "e5-small", "mini")
CASES = (
    equal(16, 128),
    equal(4, 512),
    ragged(),
    ragged_mean(),
    equal(1, 16, "ms"),
    equal(1, 128, "ms"),
    equal(1, 2048),
    equal(1, 8192),
)


def run(settings: Settings) -> dict[str, Any]:
    """Measure the cases on every model."""
    return run_contests(settings, CASES)
