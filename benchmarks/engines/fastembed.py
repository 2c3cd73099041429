"""fastembed on our portable bundle: what it does with a model of one's own."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration

ENVIRONMENT = "fastembed"
PACKAGES = ("fastembed", "onnxruntime")
RUNS_WITH = ("fastembed",)
IMPORTS = ("fastembed",)


def configurations() -> list[Configuration]:
    """Texts only."""
    return [
        Configuration(
            "fastembed fp32",
            "fastembed",
            "fp32",
            files=("bundle.portable-fp32",),
            batch_sizes=(8, 32),
            takes=("strings",),
            least_cosine=0.9999,
        )
    ]


class FastembedEngine:
    """A custom model from a local folder; pooling and length by fastembed."""

    def __init__(self, folder: Path, threads: int) -> None:
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType

        TextEmbedding.add_custom_model(
            model="local/bundle",
            pooling=PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(url=folder.as_uri()),
            dim=1,
            model_file="onnx/model.onnx",
        )
        self._model = TextEmbedding("local/bundle", specific_model_path=str(folder), threads=threads)

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Texts are not sorted by it, so they are not here."""
        return np.stack(list(self._model.embed(batch.strings, batch_size=batch_size or 32))).astype(np.float32)


def open_engine(model: dict[str, Any], threads: int) -> FastembedEngine:
    """Register the bundle's folder."""
    return FastembedEngine(Path(model["files"]) / "bundle.portable-fp32", threads)
