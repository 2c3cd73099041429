"""model2vec: a table of word vectors distilled from the checkpoint. No attention: the floor of "good enough"."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration

ENVIRONMENT = "model2vec"
PACKAGES = ("model2vec",)
RUNS_WITH = ("model2vec",)
IMPORTS = ("model2vec",)


def configurations() -> list[Configuration]:
    """Its vectors are another model's, so nothing is asked of their cosine: see the quality suite."""
    return [
        Configuration(
            "model2vec",
            "model2vec",
            "fp32",
            files=("model2vec.folder",),
            batch_sizes=(None,),
            takes=("strings",),
            same_model=False,
        )
    ]


class Model2VecEngine:
    """A lookup and a mean."""

    def __init__(self, folder: Path) -> None:
        from model2vec import StaticModel

        self._model = StaticModel.from_pretrained(folder)

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """All at once."""
        return np.asarray(self._model.encode(batch.strings), np.float32)


def open_engine(model: dict[str, Any], threads: int) -> Model2VecEngine:
    """Load the distilled table."""
    return Model2VecEngine(Path(model["files"]) / "model2vec.folder")
