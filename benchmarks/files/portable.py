"""strizh's portable-fp32 graph on its own."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.files import bundle

ENVIRONMENT = "main"
key = bundle.key


def make(model: dict[str, Any], source: str, path: str) -> None:
    """Export a bundle and keep its graph."""
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        bundle.make(model, "portable-fp32", f"{folder}/bundle")
        shutil.move(f"{folder}/bundle/onnx/model.onnx", path)
