"""strizh: every variant of the model's bundle, as `strizh.load` runs it."""

from pathlib import Path
from typing import Any, cast

import numpy as np
from benchmarks.engines import Batch, Configuration, Precision
from numpy.typing import NDArray

ENVIRONMENT = "main"
PACKAGES = ("strizh", "onnxruntime", "tokenizers")


def configurations() -> list[Configuration]:
    """One for each recipe that strizh knows, and cpu-fp32 once more as an AVX2 machine would run it."""
    from strizh.export.recipes import RECIPES

    found = [_configuration(name, name, recipe.precision) for name, recipe in RECIPES.items() if _on_cpu(recipe.target)]
    if "cpu-fp32" in RECIPES:
        found.append(_configuration("cpu-fp32 (avx2)", "cpu-fp32", "fp32", {"STRIZH_ISA": "avx2"}))
    return found


def _on_cpu(target: str) -> bool:
    return target in ("portable", "ort", "cpu")


def _configuration(name: str, variant: str, precision: str, variables: dict[str, str] | None = None) -> Configuration:
    return Configuration(
        label=f"strizh {name}",
        engine="strizh",
        precision=cast(Precision, precision),
        options={"variant": variant},
        variables=variables or {},
        files=(f"bundle.{variant}",),
        batch_sizes=(None,),
        takes=("ids", "strings"),
        ours=True,
        promise=variant,
    )


class StrizhEngine:
    """Token ids go to the session by the path that `Encoder.encode` takes after tokenizing."""

    def __init__(self, bundle: Path, variant: str, threads: int) -> None:
        import strizh
        from strizh.runtime.bundle import Bundle
        from strizh.runtime.sessions.opening import open_session

        self._encoder = strizh.load(bundle, variant=variant, threads=threads)
        opened = Bundle(bundle)
        self._width = opened.manifest.dimension
        self._session = open_session(
            opened,
            variant,
            opened.manifest.variants[variant].file,
            output="sentence_embedding",
            width=self._width,
            threads=threads,
            providers=["CPUExecutionProvider"],
        )

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Batches are cut by the token budget, as always in strizh."""
        from strizh.runtime.batching import DEFAULT_MAX_BATCH_TOKENS, Budget, PackedBatch

        if batch.strings:
            return self._encoder.encode(batch.strings, prompt="", show_progress_bar=False)
        packed = PackedBatch.pack(batch.ids)
        vectors = np.empty((len(packed), self._width), np.float32)
        for rows in Budget(DEFAULT_MAX_BATCH_TOKENS, self._session.padded).cut(packed.lengths):
            vectors[rows] = self._session.run(packed.take(rows))
        return vectors


def open_engine(model: dict[str, Any], threads: int, variant: str) -> StrizhEngine:
    """Open a variant of the bundle."""
    return StrizhEngine(Path(model["files"]) / f"bundle.{variant}", variant, threads)
