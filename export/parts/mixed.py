"""A graph in two precisions: most of its weights in half, what must not lose digits in float32."""

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import helper

from strizh.export.graph import FLOAT, Graph
from strizh.export.spec import EncoderSpec
from strizh.export.weights import Array
from strizh.runtime.errors import UnsupportedModel

HALVES = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
# The residual stream of a pre-norm model (T5) grows beyond float16's 65504, and so may what one layer adds to it. The
# stream is float32 and runs at 1/64 of its size, and with it the products that end in it; norms do not see the size.
# A power of two, so that nothing is rounded; what falls below float16's normal numbers is a millionth of the stream.
_STREAM_SCALE = 2.0**-6


def stream_scale(spec: EncoderSpec) -> float:
    """The size that the residual stream runs at, as a share of the model's own."""
    return _STREAM_SCALE if spec.pre_norm else 1.0


class MixedGraph(Graph):
    """Stores the float initialisers that `in_half` names in the type `half`, and casts between `half` and float32."""

    def __init__(
        self, name: str, weights: Mapping[str, Array], half: np.dtype[Any], in_half: Callable[[str], bool]
    ) -> None:
        super().__init__(name, weights)
        self.half = half
        self._in_half = in_half

    def add_initializer(self, name: str, array: NDArray[Any]) -> None:
        """Store an array, rounded to half precision where its name asks for it."""
        if array.dtype.kind == "f" and self._in_half(name):
            with np.errstate(over="ignore"):
                array = array.astype(self.half)
            if not np.isfinite(array).all():
                raise UnsupportedModel(f"{name} has weights beyond the range of {self.half}. Export a float32 variant.")
        elif array.dtype == np.float64:
            array = array.astype(np.float32)
        super().add_initializer(name, array)

    def exact(self, value: str) -> str:
        """A value of half precision in float32."""
        return value if self.half == np.float32 else str(self.node("Cast", value, to=FLOAT))

    def rounded(self, value: str) -> str:
        """A float32 value in half precision."""
        kind = helper.np_dtype_to_tensor_dtype(self.half)
        return value if self.half == np.float32 else str(self.node("Cast", value, to=kind))
