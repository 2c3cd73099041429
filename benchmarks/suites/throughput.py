"""Tokens a second of batches and milliseconds of single texts, beside every peer, with the goals."""

from collections.abc import Callable
from typing import Any

from benchmarks import ceiling, machine, models, roofline, tables, texts
from benchmarks.suites import Settings
from benchmarks.suites._contests import run_contests, show_contests
from benchmarks.workloads import (
    Case,
    documents,
    equal,
    mixed_strings,
    passages,
    queries,
    ragged,
    ragged_mean,
    real_strings,
)

HELP = "batches and single texts beside every peer, with the goals; real texts besides with --texts DIR"
NOTES = tables.ROUNDS
MODELS = ("base", "e5-small", "mini")
HEEDS = ("engines", "cases", "texts", "settled")
CASES = (
    equal(16, 128),
    equal(4, 512),
    ragged(),
    ragged_mean(),
    mixed_strings(),
    equal(1, 16, "ms"),
    equal(1, 128, "ms"),
    equal(1, 2048),
    equal(1, 8192),
    queries(),
    passages(),
    documents(),
)


def run(settings: Settings) -> dict[str, Any]:
    """Measure the cases on every model, and the ceilings of the machine before and after."""
    here = machine.describe()
    before = ceiling.measure(here["flags"], settings.threads)
    result = run_contests(settings, CASES, _real(settings) if settings.texts else None)
    after = ceiling.measure(here["flags"], settings.threads)
    best = {name: max(rate, after[name]) for name, rate in before.items()}
    return result | {"ceiling": best}


def _real(settings: Settings) -> Callable[[models.Model], Case]:
    assert settings.texts
    found = texts.passages(settings.texts)
    return lambda model: real_strings(found, texts.prompts(model)[1])


def show(result: dict[str, Any]) -> list[str]:
    """A table for each case, the goals, and the shares of the ceilings."""
    return [*show_contests(result, tables.timings), roofline.table(shares(result), result["ceiling"])]


def shares(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What part of the ceilings every row reached."""
    kind = machine.kind(result["machine"])
    return list(roofline.shares(result["rows"], CASES, result["models"], result["ceiling"], kind))
