"""The tensorrt variants on engines that are there already: each takes the shapes of its profile, and none is built here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch, Rows
from strizh.runtime.engines import Profile
from strizh.runtime.errors import DeviceError
from strizh.runtime.sessions.buckets import Bucket, round_up
from strizh.runtime.sessions.device import DeviceSession
from strizh.runtime.sessions.padded import PaddedSession
from strizh.runtime.sessions.session import Output
from strizh.runtime.tensorrt import CLASSIC, has_graphs
from strizh.runtime.vectors import Float32


@dataclass(frozen=True, slots=True)
class _Engine:
    """An engine that is open. `graphs`: whether it replays CUDA graphs; `alone`: of one shape only, which is its profile's."""

    profile: Profile
    session: onnxruntime.InferenceSession
    graphs: bool
    alone: bool


class EngineSession(DeviceSession, PaddedSession):
    """A batch runs on the smallest engine that takes its shape; one of more texts than any takes runs in parts."""

    def __init__(self, engines: Sequence[tuple[Profile, Any]], **names: Any) -> None:
        opened = [
            _Engine(profile, session, has_graphs(provider, profile), provider == CLASSIC)
            for profile, session in engines
            for provider in session.get_providers()[:1]
        ]
        self._engines = sorted(opened, key=lambda engine: engine.profile.texts * engine.profile.tokens)
        super().__init__(self._engines[-1].session, **names)

    def run(self, batch: PackedBatch, output: Output, *, give_back: bool = False) -> Float32:
        """As `Session.run`; `DeviceError` for a text that is longer than every engine takes."""
        return next(self.run_each(batch, [np.arange(len(batch))], output, give_back=give_back))

    def run_each(
        self, texts: PackedBatch, batches: Sequence[Rows], output: Output, *, give_back: bool = False
    ) -> Iterator[Float32]:
        """As `DeviceSession.run_each`; errors as `run`."""
        parts = [list(self._taken(texts.lengths, rows)) for rows in batches]
        found = super().run_each(texts, [rows for batch in parts for rows in batch], output, give_back=give_back)
        for batch in parts:
            vectors = [next(found) for _ in batch]
            yield vectors[0] if len(vectors) == 1 else np.concatenate(vectors)

    def _taken(self, lengths: NDArray[np.int32], rows: Rows) -> Iterator[Rows]:
        longest = int(lengths[rows].max())
        profiles = [engine.profile for engine in self._engines]
        most = max((profile.texts for profile in profiles if profile.holds(1, longest)), default=0)
        if not most:
            reach = max(profile.tokens for profile in profiles)
            raise DeviceError(
                f"{self._variant}: a text has {longest} tokens, its engines take up to {reach}. "
                f"Build one with `strizh build-engine --profiles 1x{longest}`"
            )
        for start in range(0, len(rows), most):
            yield rows[start : start + most]

    def _engine(self, batch: PackedBatch) -> _Engine:
        shape = self._token_shape(batch)
        return next(engine for engine in self._engines if engine.profile.holds(*shape))

    def _opened(self, batch: PackedBatch) -> onnxruntime.InferenceSession:
        return self._engine(batch).session

    def _bucket(self, batch: PackedBatch) -> Bucket | None:
        engine = self._engine(batch)
        if not engine.graphs:
            return None
        texts, longest = engine.profile.texts, engine.profile.tokens
        if not engine.alone:
            real, tokens = self._token_shape(batch)
            texts, longest = min(round_up(real), texts), min(round_up(tokens), longest)
        return Bucket(texts * longest, texts, longest, engine.alone)

    def _filled(self, batch: PackedBatch, bucket: Bucket) -> dict[str, NDArray[Any]]:
        return self._feed(batch, (bucket.texts, bucket.longest))
