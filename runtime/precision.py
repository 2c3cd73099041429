"""Vectors in fewer bits, for vector databases: the output types of sentence-transformers, with the same numbers."""

import warnings
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.runtime.errors import UsageError
from strizh.runtime.vectors import Float32

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
Vectors = NDArray[Any]  # of the dtype that a precision names
DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
    "binary": np.int8,
    "ubinary": np.uint8,
}
_ENOUGH_TO_CALIBRATE = 100  # vectors; what sentence-transformers asks for


class Quantizer:
    """From float32 vectors [n, dim] to one precision.

    int8 and uint8 cut each dimension's range into 255 equal steps and count them from the smallest value (`floor`), so that
    int8 is uint8 - 128; values outside are clipped. "ubinary" packs the signs, 8 dimensions a byte, the first one highest;
    "binary" is that less 128. Source: sentence-transformers' `quantize_embeddings`.
    """

    def __init__(self, precision: str, dimension: int, calibration_embeddings: ArrayLike | None = None) -> None:
        """`calibration_embeddings` [m, dim]: whose smallest and largest values are the ranges of int8 and uint8.

        `UsageError` for a precision that is not known, ranges that do not fit, or signs that do not fill bytes.
        """
        if precision not in get_args(Precision):
            raise UsageError(f"precision is {precision!r}, expected one of {', '.join(get_args(Precision))}")
        if precision.endswith("binary") and dimension % 8:
            raise UsageError(
                f"precision {precision!r} packs 8 dimensions a byte, and these vectors have {dimension}. "
                "Use a truncate_dim that is a multiple of 8"
            )
        self.precision = precision
        self.width = dimension // 8 if precision.endswith("binary") else dimension
        self.needs_ranges = precision.endswith("int8")
        self._ranges: tuple[Float32, Float32] | None = None  # smallest value and step of each dimension
        if self.needs_ranges and calibration_embeddings is not None:
            self.calibrate(_checked(calibration_embeddings, dimension))

    @property
    def dtype(self) -> Any:
        """The NumPy type of the result."""
        return DTYPES[self.precision]

    @property
    def calibrated(self) -> bool:
        """Whether it can be applied."""
        return not self.needs_ranges or self._ranges is not None

    def calibrate(self, vectors: Float32) -> None:
        """Take the ranges of these vectors."""
        start = vectors.min(axis=0)
        steps = (vectors.max(axis=0) - start) / np.float32(255)
        self._ranges = start, np.where(steps == 0, np.float32(1), steps)

    def __call__(self, vectors: Float32) -> Vectors:
        """[n, dim] to [n, width] of `dtype`."""
        if self.precision == "float32":
            return vectors
        if self.precision.endswith("binary"):
            packed = np.packbits(vectors > 0, axis=-1)
            return packed if self.precision == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)
        assert self._ranges is not None
        start, step = self._ranges
        steps: Float32 = np.clip(np.floor((vectors - start) / step), 0, 255)
        return (steps - 128).astype(np.int8) if self.precision == "int8" else steps.astype(np.uint8)


def quantize_embeddings(
    embeddings: ArrayLike, precision: Precision, *, calibration_embeddings: ArrayLike | None = None
) -> Vectors:
    """Float vectors [n, dim] in another precision: int8, uint8 [n, dim]; binary (int8), ubinary (uint8) [n, dim / 8].

    Without `calibration_embeddings` [m, dim] the ranges of int8 and uint8 are those of the vectors themselves, with a
    warning where they are fewer than 100: vectors of two calls can be compared only with ranges in common.
    """
    vectors = _array(embeddings, "embeddings").astype(np.float32, copy=False)
    if vectors.ndim != 2:
        raise UsageError(f"embeddings have the shape {vectors.shape}, expected [n, dim]")
    quantizer = Quantizer(precision, vectors.shape[1], calibration_embeddings)
    if not quantizer.calibrated and len(vectors):
        if len(vectors) == 1:
            raise UsageError(f"one vector has no range to cut into steps for {precision}. Give calibration_embeddings")
        if len(vectors) < _ENOUGH_TO_CALIBRATE:
            warnings.warn(
                f"the ranges of {precision} are those of {len(vectors)} vectors, which says little of others. "
                "Give calibration_embeddings of a hundred texts or more",
                UserWarning,
                stacklevel=2,
            )
        quantizer.calibrate(vectors)
    return quantizer(vectors) if len(vectors) else np.zeros((0, quantizer.width), quantizer.dtype)


def _array(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        found = np.asarray(values)
        if found.dtype.kind in "fiub":
            return found
        problem = f"are of type {found.dtype}"
    except ValueError as error:  # rows of several lengths
        problem = f"are no array ({error})"
    raise UsageError(f"{name} {problem}, expected numbers [n, dim]. Give vectors as encode returns them")


def _checked(calibration: ArrayLike, dimension: int) -> Float32:
    vectors = _array(calibration, "calibration_embeddings")
    if vectors.ndim != 2 or vectors.shape[1] != dimension or len(vectors) < 2 or vectors.dtype.kind != "f":
        raise UsageError(
            f"calibration_embeddings are {vectors.dtype} {list(vectors.shape)}, expected float vectors [2 or more, "
            f"{dimension}]: of a sample of texts, or their smallest and largest values"
        )
    if not np.isfinite(vectors).all():
        raise UsageError(
            "calibration_embeddings hold NaN or infinity, expected finite numbers. Encode the sample again"
        )
    return vectors.astype(np.float32, copy=False)
