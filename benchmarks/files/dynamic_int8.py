"""ONNX Runtime's `quantize_dynamic`: signed weights per channel, activations quantised at run time."""

from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.files import hash_of

ENVIRONMENT = "main"


def key(source: str) -> str:
    """Changes with the graph and the quantiser's version."""
    return f"{metadata.version('onnxruntime')} {hash_of(Path(source))}"


def make(model: dict[str, Any], source: str, path: str) -> None:
    """Per channel, which is better and no slower than its default."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, path, per_channel=True, weight_type=QuantType.QInt8)
