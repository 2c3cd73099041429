"""strizh: every variant of the model's bundle, as `strizh.load` runs it."""

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration, Precision

ENVIRONMENT = "main"
PACKAGES = ("strizh", "onnxruntime", "tokenizers")
RUNS_WITH = ("strizh",)
IMPORTS = ("strizh",)


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
    """An `Encoder`. Batches are cut by its token budget, as always in strizh."""

    def __init__(self, folder: Path, variant: str, threads: int) -> None:
        import strizh

        self._encoder = strizh.load(folder, variant=variant, threads=threads)

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Token ids enter where those of its own tokenizer would."""
        from strizh.runtime.batching import PackedBatch

        if batch.strings:
            return self._encoder.encode(batch.strings, prompt="", show_progress_bar=False)
        return self._encoder.encode_tokens(PackedBatch.pack(batch.ids))


def open_engine(model: dict[str, Any], threads: int, variant: str) -> StrizhEngine:
    """Load the variant's bundle."""
    return StrizhEngine(Path(model["files"]) / f"bundle.{variant}", variant, threads)
