"""Where activations become integers, and how."""

from dataclasses import dataclass

from strizh.export.weights import Array


@dataclass(frozen=True, slots=True)
class Static:
    """One scale for all tokens: code = round(x / scale) + zero, saturated to 0 ... 255."""

    scale: float
    zero: int = 128


@dataclass(frozen=True, slots=True)
class PerRow:
    """A scale for each token, from its own largest magnitude: its vector cannot depend on its neighbours."""

    zero: int = 128


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One input of one or more products. `weights` are the names of their matrices [in, out], `size` their
    numbers: the multiplications for a token.

    `smoothing` [in] divides the input's channels and multiplies the weights' rows, which changes nothing but how hard
    each of them is to round.
    """

    name: str
    weights: tuple[str, ...]
    size: int
    activations: Static | PerRow
    smoothing: Array | None = None
