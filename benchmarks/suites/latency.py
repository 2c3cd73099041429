"""p50, p95 and p99 of one text at six lengths."""

from typing import Any

from benchmarks import tables
from benchmarks.suites import Settings
from benchmarks.suites._contests import run_contests, show_contests
from benchmarks.workloads import equal

HELP = "p50, p95 and p99 of one text of 8 to 2048 tokens"
NOTES = tables.ROUNDS
MODELS = ("base", "e5-small", "mini")
HEEDS = ("engines", "cases", "settled")
CASES = tuple(equal(1, length, "ms") for length in (8, 16, 64, 128, 512, 2048))


def run(settings: Settings) -> dict[str, Any]:
    """Measure the cases on every model."""
    return run_contests(settings, CASES)


def show(result: dict[str, Any]) -> list[str]:
    """Quantiles, a line for each engine."""
    return show_contests(result, tables.latencies)
