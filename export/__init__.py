"""strizh.export: a checkpoint to a bundle, offline. Needs the extra `export`; torch only to trace or to compare."""

from strizh.runtime.errors import MissingExtra

try:
    import ml_dtypes  # noqa: F401
    import onnx  # noqa: F401
    import safetensors  # noqa: F401
except ImportError as error:
    raise MissingExtra(str(error.name), "export", "Exporting") from error

from strizh.export.exporter import export_model

__all__ = ["export_model"]
