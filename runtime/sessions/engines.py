"""The tensorrt variants on engines that are there already: each takes the shapes of its profile, and none is built here."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from strizh.runtime.batching import PackedBatch, Rows
from strizh.runtime.engines import Profile
from strizh.runtime.errors import DeviceError
from strizh.runtime.sessions.padded import PaddedSession
from strizh.runtime.sessions.session import Output
from strizh.runtime.vectors import Float32


class EngineSession(PaddedSession):
    """A batch runs on the smallest engine that takes its shape; one of more texts than any takes runs in parts."""

    def __init__(self, engines: Sequence[tuple[Profile, Any]], **names: Any) -> None:
        self._engines = sorted(engines, key=lambda engine: engine[0].texts * engine[0].tokens)
        super().__init__(self._engines[-1][1], **names)

    def run(self, batch: PackedBatch, output: Output, *, give_back: bool = False) -> Float32:
        """As `Session.run`; `DeviceError` for a text that is longer than every engine takes."""
        parts = [super(EngineSession, self).run(batch.take(rows), output) for rows in self._parts(batch)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _parts(self, batch: PackedBatch) -> Iterator[Rows]:
        longest = int(batch.lengths.max())
        most = max((profile.texts for profile, _ in self._engines if profile.holds(1, longest)), default=0)
        if not most:
            reach = max(profile.tokens for profile, _ in self._engines)
            raise DeviceError(
                f"{self._variant}: a text has {longest} tokens, its engines take up to {reach}. "
                f"Build one with `strizh build-engine --profiles 1x{longest}`"
            )
        for start in range(0, len(batch), most):
            yield np.arange(start, min(start + most, len(batch)))

    def _compute(self, batch: PackedBatch, output: Output, staged: Any, give_back: bool) -> Float32:
        shape = self._token_shape(batch)
        self._session = next(session for profile, session in self._engines if profile.holds(*shape))
        return super()._compute(batch, output, staged, give_back)
