"""The optional dependencies of tracing."""

from importlib.util import find_spec

from strizh.runtime.errors import MissingExtra

PACKAGES = ("torch", "transformers", "onnx", "onnxscript")


def require_extra() -> None:
    """Raise `MissingExtra`, which says how to install, for the first package of the extra `trace` that is absent."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra(package, "trace", "Tracing a PyTorch model")
