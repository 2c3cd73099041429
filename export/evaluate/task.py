"""What a kind of task provides, and how sure its figure is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from strizh.runtime.errors import UsageError

Array = NDArray[Any]
Role = Literal["query", "passage", "symmetric"]

_RESAMPLES = 1000
_LARGEST = 1e300  # of float64, with room for sums
_SEED = 20250801


class Row(dict[str, Any]):
    """One object of a file, which knows where it stands."""

    place = "a row"

    def number(self, key: str) -> float:
        """A field that is a finite number; `UsageError` names its row."""
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
            raise UsageError(
                f"{self.place} has {key} {value!r:.40}; expected a number. Correct it, or take the row out."
            )
        return float(value)

    def __missing__(self, key: str) -> Any:
        raise UsageError(f"{self.place} has no key {key!r}, which the first row has. Give it one, or take the row out.")


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the part it plays, which decides its prompt."""

    text: str
    role: Role


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure and what it was made from: `statistic` of `samples`, whose rows are the test's independent cases."""

    samples: Array
    statistic: Callable[[Array], float]

    @property
    def value(self) -> float:
        return self.statistic(self.samples)

    @classmethod
    def mean(cls, cases: Array) -> "Measure":
        """The mean over cases [n]."""
        return cls(np.asarray(cases, np.float64), lambda samples: float(samples.mean()))


class Task(Protocol):
    """One test: its texts, and its figures from their vectors."""

    @property
    def name(self) -> str:
        """The file's name."""

    @property
    def texts(self) -> Sequence[Text]:
        """What `measure` wants the vectors of."""

    def measure(self, vectors: Array) -> dict[str, Measure]:
        """Figures by name, from unit vectors [len(texts), dim] in the order of `texts`."""


def interval(ours: Measure, theirs: Measure) -> tuple[float, float]:
    """95 % interval of ours - theirs by the paired bootstrap: both are resampled by the same cases.

    B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3 (percentile interval).
    """
    generator = np.random.default_rng(_SEED)
    count = len(ours.samples)
    differences = np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):
        rows = generator.integers(0, count, count)
        differences[index] = ours.statistic(ours.samples[rows]) - theirs.statistic(theirs.samples[rows])
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)
