"""strizh: every variant of the model's bundle, as `strizh.load` runs it."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration, Precision

if TYPE_CHECKING:
    from strizh import Encoder
    from strizh.runtime.bundle import Bundle
    from strizh.runtime.sessions.session import Session

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
    """Texts go through `Encoder.encode`; token ids to a session, by the path that `encode` takes after tokenizing."""

    def __init__(self, folder: Path, variant: str, threads: int) -> None:
        self._folder, self._variant, self._threads = folder, variant, threads

    def open(self) -> None:
        """Open the session, so that what is wrong is said now."""
        _ = self._session

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Batches are cut by the token budget, as always in strizh."""
        if batch.strings:
            return self._encoder.encode(batch.strings, show_progress_bar=False)
        from strizh.runtime.batching import DEFAULT_MAX_BATCH_TOKENS, Budget, PackedBatch

        packed = PackedBatch.pack(batch.ids)
        vectors = np.empty((len(packed), self._width), np.float32)
        for rows in Budget(DEFAULT_MAX_BATCH_TOKENS, self._session.padded).cut(packed.lengths):
            vectors[rows] = self._session.run(packed.take(rows))
        return vectors

    @cached_property
    def _encoder(self) -> "Encoder":
        import strizh

        return strizh.load(self._folder, variant=self._variant, threads=self._threads)

    @cached_property
    def _bundle(self) -> "Bundle":
        from strizh.runtime.bundle import Bundle

        return Bundle(self._folder)

    @property
    def _width(self) -> int:
        return self._bundle.manifest.dimension

    @cached_property
    def _session(self) -> "Session":
        from strizh.runtime.sessions.opening import open_session

        return open_session(
            self._bundle,
            self._variant,
            self._bundle.manifest.variants[self._variant].file,
            output="sentence_embedding",
            width=self._width,
            threads=self._threads,
            providers=["CPUExecutionProvider"],
        )


def open_engine(model: dict[str, Any], threads: int, variant: str) -> StrizhEngine:
    """Open the variant's bundle; what encodes texts is opened with the first of them."""
    engine = StrizhEngine(Path(model["files"]) / f"bundle.{variant}", variant, threads)
    engine.open()
    return engine
