"""Engines, one a file. A module here is found by itself and holds:

- `ENVIRONMENT`: the environment it runs in, "main" for that of strizh itself
- `PACKAGES`: distributions whose versions stand beside its results
- `RUNS_WITH`: distributions that are enough to run it
- `IMPORTS`: what its users import, a floor of time and memory that is not the model's
- `configurations()`: the ways to run it that compete with the others
- `open_engine(model, threads, **options) -> Engine`, called in the worker process; nothing heavy is imported before
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import UnknownName
from benchmarks.names import choose

Precision = Literal["fp32", "bf16", "int8"]
BATCH_SIZES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is encoded in one call: token ids, int32 [length] each, or texts. One of the two is empty."""

    ids: list[NDArray[np.int32]] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)


class Engine(Protocol):
    """An open model."""

    def encode(self, batch: Batch, batch_size: int | None) -> Any:
        """Vectors of the texts in their order, float32 [n, dim].

        `batch_size` texts go into the engine at a time, neighbours in length; None leaves that to the engine.
        """
        ...


@dataclass(frozen=True, slots=True)
class Configuration:
    """One way to run an engine. Of several with the same label the fastest stands for the engine in each case."""

    label: str
    engine: str  # the module's name
    precision: Precision
    options: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # environment variables of its process
    files: tuple[str, ...] = ()  # made before it is opened, see benchmarks/files; it runs on the last of them
    batch_sizes: tuple[int | None, ...] = BATCH_SIZES  # to choose from; (None,) for engines that batch by themselves
    takes: tuple[Literal["ids", "strings"], ...] = ("ids",)
    ours: bool = False
    promise: str | None = None  # the recipe whose promise its vectors must keep
    only_model: str | None = None  # the one checkpoint whose weights it has
    same_model: bool = True  # its vectors are those of the checkpoint; else only their quality says something
    least_cosine: float = 0.0  # of a peer's vectors: below it is wired wrongly, and its speed means nothing

    @property
    def detail(self) -> str:
        """What tells it from others of its label."""
        return ", ".join(str(value) for value in self.options.values())

    @property
    def name(self) -> str:
        """The label with the detail."""
        return f"{self.label} ({self.detail})" if self.detail else self.label


def modules() -> Iterator[tuple[str, Any]]:
    """Every engine's name and module."""
    for info in pkgutil.iter_modules(__path__):
        yield info.name, importlib.import_module(f"{__name__}.{info.name}")


def find(patterns: Iterable[str] = ()) -> list[Configuration]:
    """Configurations whose name matches one of the patterns; all without patterns.

    A name is the label ("openvino*", "strizh cpu-bf16"), or the label with the detail ("openvino int8 (portable*bf16)").
    Raises `UnknownName` for a pattern that nothing matches.
    """
    found = [one for _, module in modules() for one in _of(module)()]
    return choose("engine", patterns, found, lambda one: (one.label, one.name))


def of_ids(patterns: Iterable[str]) -> list[Configuration]:
    """Those of `find` that take token ids. Raises `UnknownName` where none of those asked for does."""
    found = find(patterns)
    chosen = [one for one in found if "ids" in one.takes]
    if not chosen:
        labels = " and ".join(dict.fromkeys(one.label for one in found))
        raise UnknownName(f"{labels}: texts only; this suite gives token ids, ask for other engines")
    return chosen


def _of(module: Any) -> Callable[[], list[Configuration]]:
    return module.configurations  # type: ignore[no-any-return]
