"""Suites, one a file: `HELP`, `MODELS` (the default ones), `HEEDS`, `run(settings) -> result` and `show(result)`, its tables.

`HEEDS` are those of `OPTIONS` that mean something to the suite; another one is refused, not overheard.

A result is plain data; its `failures` are lines, any of which makes the command exit with 1. `NOTES` say what to know
before reading the tables.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine, tables
from benchmarks.names import choose
from benchmarks.rounds import Method
from benchmarks.summary import Row
from benchmarks.workloads import Case

OPTIONS = ("engines", "cases", "texts", "column", "settled", "batches")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line said. `engines` and `cases` are patterns of names; `texts` is a folder of jsonl."""

    models: tuple[str, ...]
    engines: tuple[str, ...]
    cases: tuple[str, ...]
    settled: Sequence[Row]  # of an earlier result, whose choice of files and batch sizes stands
    threads: int
    method: Method
    texts: Path | None
    column: str  # of the texts: `text`, or `en`
    batches: int  # of the memory suite
    say: Callable[[str], None]

    def chosen(self, cases: Sequence[Case]) -> list[Case]:
        """Those of a suite's cases that are asked for. Raises `UnknownName` for a pattern that none has."""
        return choose("case", self.cases, cases, lambda case: (case.name,))


def blank(settings: Settings) -> dict[str, Any]:
    """A result with its conditions and nothing measured yet."""
    return {
        "machine": machine.describe(),
        "method": {name: value for name, value in asdict(settings.method).items() if name != "deadline"},
        "threads": settings.threads,
        "versions": {},
        "models": {},
        "rows": [],
        "absent": [],
        "failures": [],
        "thrown_away": [],
    }


def printed(name: str, result: dict[str, Any]) -> str:
    """All that is to be read of a result: conditions, tables, and what was not measured."""
    suite = load(name)
    notes = getattr(suite, "NOTES", ())
    return "\n\n".join([tables.heading(result, *notes), *suite.show(result), *tables.absent(result)])


def names() -> list[str]:
    """Every suite."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def load(name: str) -> Any:
    """The module of a suite."""
    return importlib.import_module(f"{__name__}.{name}")
