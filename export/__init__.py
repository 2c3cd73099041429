"""strizh.export: a checkpoint to a bundle, offline. Needs the extra `export`; torch only to trace or to compare."""

from typing import TYPE_CHECKING

from strizh.runtime.errors import MissingExtra

if TYPE_CHECKING:
    from strizh.export.exporter import export_model

__all__ = ["export_model"]


def __getattr__(name: str) -> object:
    # onnx and NumPy are imported by those who export, so that `strizh --help` answers at once and without the extra.
    if name != "export_model":
        raise AttributeError(f"module 'strizh.export' has no attribute {name!r}")
    try:
        from strizh.export.exporter import export_model
    except ModuleNotFoundError as error:
        if error.name not in ("ml_dtypes", "onnx", "safetensors"):
            raise
        raise MissingExtra(error.name, "export", "Exporting") from error
    return export_model
