"""The weights of a `cpu` graph: packed into the layouts that strizh's operators read, as nodes ask for them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, overload

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.export.graph import Graph
from strizh.export.quantize.rounding import rows
from strizh.export.weights import Array
from strizh.kernels import layout
from strizh.runtime.errors import UsageError

_DOMAIN = "strizh"


class Packer(Graph):
    """A graph whose weights are packed as they are added. A missing slot is an input that is left out."""

    def __init__(
        self, name: str, weights: Mapping[str, Array], precision: str, keep_bf16: Collection[str],
        smoothing: Mapping[str, Array],
    ) -> None:  # fmt: skip
        super().__init__(name, weights)
        self.precision = precision
        self.keep_bf16 = keep_bf16
        self.smoothing = smoothing

    def precision_of(self, product: str) -> str:
        """How the weight of a layer's product is stored."""
        return "bf16" if product in self.keep_bf16 else self.precision

    def smoothing_of(self, product: str) -> Array | None:
        return self.smoothing.get(product) if self.precision_of(product) == "int8" else None

    def product_weight(self, product: str, slot: str) -> Array:
        """The weight of a slot [out, in], with what smoothing takes from the input of its product."""
        weight, smoothing = self.weights[f"{slot}.weight"], self.smoothing_of(product)
        if smoothing is None:
            return weight
        if smoothing.shape != weight.shape[1:] or not np.isfinite(smoothing).all() or not (smoothing > 0).all():
            raise UsageError(f"the smoothing of {product!r} must be {weight.shape[1]} positive numbers, one an input.")
        return np.asarray(weight * smoothing, np.float32)

    def smoothing_factors(self, product: str, pad: Callable[[ArrayLike], Array] = layout.pad_vector) -> str:
        """What the columns of a product's input are multiplied by."""
        smoothing = self.smoothing_of(product)
        return (
            "" if smoothing is None else self.packed(f"{product}.smoothing", pad(1 / np.asarray(smoothing, np.float32)))
        )

    @overload
    def operator(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> tuple[str, ...]: ...
    @overload
    def operator(self, op: str, *inputs: str, **attributes: Any) -> str: ...
    def operator(self, op: str, *inputs: str, **attributes: Any) -> Any:
        """A node of the kernels' domain; inputs that are left out at the end are not named."""
        given = len(inputs) - next(i for i, name in enumerate(reversed(inputs)) if name)
        return self.node(op, *inputs[:given], domain=_DOMAIN, **attributes)

    def packed(self, name: str, array: NDArray[Any]) -> str:
        """An initialiser that is already in the kernels' layout; uint16 are the bits of bfloat16."""
        if name not in self.initializers:
            self.add_initializer(name, array.view(ml_dtypes.bfloat16) if array.dtype == np.uint16 else array)
        return name

    def vector(self, slot: str) -> str:
        """A bias or norm weight, padded to whole panels."""
        return self.packed(slot, layout.pad_vector(self.weights[slot])) if slot in self.weights else ""

    def linear(self, slot: str) -> tuple[str, str]:
        """Weight and bias of a layer's product that is one slot."""
        name = f"{slot}.weight"
        if name not in self.initializers:
            self.packed(name, layout.pack_linear(self.product_weight(slot, slot), self.precision_of(slot)))
        return name, self.vector(f"{slot}.bias")

    def table(self, slot: str) -> str:
        """An embedding table, its rows as they are."""
        if slot not in self.initializers:
            rows = self.weights[slot]
            self.packed(slot, rows if self.precision == "fp32" else layout.to_bf16(rows))
        return slot

    def int8_table(self, slot: str) -> tuple[str, str]:
        """An embedding table in int8, and the scales of its rows."""
        codes, scale = rows(self.weights[slot])
        return self.packed(f"{slot}.codes", codes), self.packed(f"{slot}.scale", scale)

    def optional(self, slot: str) -> Array | None:
        return self.weights.get(slot)
