"""Graphs with `input_ids` [total_tokens] and `cu_seqlens` [batch + 1]: the cpu variants. No padding exists."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.session import Session


class PackedSession(Session):
    """Gives the graph the packed batch as it is."""

    padded = False
    inputs = {"input_ids": "tensor(int32)", "cu_seqlens": "tensor(int32)"}  # noqa: RUF012

    def _feed(self, batch: PackedBatch) -> dict[str, NDArray[Any]]:
        arrays = {"input_ids": batch.input_ids, "cu_seqlens": batch.cu_seqlens}
        return {name: np.ascontiguousarray(array, np.int32) for name, array in arrays.items()}
