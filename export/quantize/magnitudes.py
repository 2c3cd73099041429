"""How near a float16 graph comes to the end of its range, 65,504, on the calibration texts."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from strizh.export.quantize.calibration import Ids
from strizh.export.quantize.probe import of_one_length, opened
from strizh.export.write import without_weights
from strizh.runtime.errors import ParityError

LIMIT = 30_000  # less than half of the range: texts that were not tried have the rest


def magnitudes(model: onnx.ModelProto, texts: Sequence[Ids], folder: Path) -> dict[str, float]:
    """Largest magnitude of every float16 tensor, weights included, the layers together under `layers.*`."""
    found: dict[str, float] = {}

    def see(name: str, value: float) -> None:
        role = re.sub(r"^layers\.\d+", "layers.*", name)
        found[role] = max(found.get(role, 0.0), value)

    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            see(tensor.name, _largest(numpy_helper.to_array(tensor)))
    graph = onnx.shape_inference.infer_shapes(without_weights(model), strict_mode=True).graph
    names = [value.name for value in graph.value_info if value.type.tensor_type.elem_type == TensorProto.FLOAT16]
    names = [name for name in names if name not in {tensor.name for tensor in model.graph.initializer}]
    with opened(model, folder, names, TensorProto.FLOAT16) as run:
        for together in of_one_length(texts):
            for name, value in run([texts[number] for number in together]).items():
                see(name, _largest(value))
    return {role: float(f"{value:.4g}") for role, value in sorted(found.items())}


def _largest(values: NDArray[np.float16]) -> float:
    """The largest magnitude; NaN if there is one. Without their sign the bits of float16 are in order, NaN last."""
    bits = (values.view(np.uint16) & 0x7FFF).max(initial=0)
    return float(bits.astype(np.uint16).view(np.float16))


def check(found: dict[str, float]) -> None:
    """Raise `ParityError` that names the tensors beyond the limit; NaN is beyond it."""
    beyond = {role: value for role, value in found.items() if not value <= LIMIT}
    if beyond:
        listed = ", ".join(f"{role} {value:g}" for role, value in beyond.items())
        raise ParityError(
            f"portable-fp16 comes within reach of float16's largest number, 65504: {listed}; expected at most {LIMIT} on "
            "the calibration texts. Export this model without portable-fp16, or keep it with --force."
        )
