"""strizh: sentence encoders as ONNX bundles. `strizh.load(bundle).encode(texts)` is the whole runtime.

This file becomes `strizh/__init__.py` when the package is built.
"""

from strizh.runtime.encoder import Encoder, load
from strizh.runtime.errors import Error

__version__ = "${version}"
__all__ = ["Encoder", "Error", "__version__", "load"]
