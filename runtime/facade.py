"""strizh: sentence encoders as ONNX bundles. `strizh.load(bundle).encode(texts)` is the whole runtime.

This file becomes `strizh/__init__.py` when the package is built.
"""

from typing import TYPE_CHECKING

from strizh.runtime.errors import Error

if TYPE_CHECKING:
    from strizh.runtime.encoder import Encoder, load
    from strizh.runtime.precision import quantize_embeddings

__version__ = "${version}"
__all__ = ["Encoder", "Error", "__version__", "load", "quantize_embeddings"]


def __getattr__(name: str) -> object:
    # NumPy and ONNX Runtime are imported by those who encode, so that `strizh --help` answers at once.
    if name in ("Encoder", "load"):
        from strizh.runtime import encoder

        return getattr(encoder, name)
    if name == "quantize_embeddings":
        from strizh.runtime import precision

        return getattr(precision, name)
    raise AttributeError(f"module 'strizh' has no attribute {name!r}")
