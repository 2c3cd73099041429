"""Where activations become integers, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from strizh.export.quantize.rounding import Codes
from strizh.export.weights import Array

ZERO = 128  # the code of 0: activations are unsigned


@dataclass(frozen=True, slots=True)
class Static:
    """One scale for all tokens: code = round(x / scale) + ZERO, saturated to 0 ... 255."""

    scale: float


@dataclass(frozen=True, slots=True)
class PerRow:
    """A scale for each token, from its own largest magnitude: its vector cannot depend on its neighbours."""


@dataclass(frozen=True, slots=True)
class OwnRange:
    """A scale and a zero for each token, from its own least to its greatest value, an outlier apart: what
    `kernels.reference_int8.quantize_rows` does. Its vector cannot depend on its neighbours either."""


Activations = Static | PerRow | OwnRange


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One input of one or more products. `weights` are the names of their matrices [in, out], `size` their
    numbers: the multiplications for a token.

    `smoothing` [in] divides the input's channels and multiplies the weights' rows, which changes nothing but how hard
    each of them is to round. `rounded` has the smoothed matrices as codes [in, out] and scales [out].
    """

    name: str
    weights: tuple[str, ...]
    size: int
    activations: Activations
    smoothing: Array | None = None
    rounded: Mapping[str, tuple[Codes, Array]] = field(default_factory=dict)
