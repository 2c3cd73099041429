"""PyTorch with scaled-dot-product attention: float32, bfloat16, and bfloat16 compiled by inductor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines import Batch, Configuration
from benchmarks.padding import encode_padded

ENVIRONMENT = "main"
PACKAGES = ("torch", "transformers")
RUNS_WITH = ("torch", "transformers")
IMPORTS = ("torch", "transformers", "strizh.export.trace")


def configurations() -> list[Configuration]:
    """The three that users choose between."""
    return [
        Configuration("torch fp32", "torch", "fp32", {"precision": "fp32"}, least_cosine=0.9999),
        Configuration("torch bf16", "torch", "bf16", {"precision": "bf16"}, least_cosine=0.99),
        # Every shape is compiled on its own, which takes half a minute: the batch size is not searched anew.
        Configuration(
            "torch bf16 compiled",
            "torch",
            "bf16",
            {"precision": "bf16", "compiled": True},
            batch_sizes=(8, 32),
            least_cosine=0.99,
        ),
    ]


class TorchEngine:
    """The checkpoint's own module and mean pooling, in one `forward`."""

    def __init__(self, checkpoint: str, threads: int, precision: str, compiled: bool, pad: int) -> None:
        import torch

        from benchmarks.sentence_module import SentenceModule

        torch.set_num_threads(threads)
        self._torch = torch
        self._pad = pad
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._module: Any = SentenceModule(checkpoint).to(dtype).eval()
        self._compiled = compiled
        if compiled:
            torch._dynamo.config.recompile_limit = 64
            torch._inductor.config.freezing = True
            self._static = torch.compile(self._module, dynamic=False)
            self._dynamic = torch.compile(self._module, dynamic=True)

    def encode(self, batch: Batch, batch_size: int | None) -> NDArray[np.float32]:
        """Sorted by length and padded. A batch of equal lengths runs code compiled for its very shape."""
        module = self._module
        if self._compiled:
            module = self._static if len({len(ids) for ids in batch.ids}) == 1 else self._dynamic

        def run(input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> NDArray[np.float32]:
            torch = self._torch
            # inductor's freezing refuses inference_mode
            with torch.no_grad() if self._compiled else torch.inference_mode():
                vectors = module(torch.from_numpy(input_ids), torch.from_numpy(attention_mask))
            return vectors.float().numpy()  # type: ignore[no-any-return]

        return encode_padded(run, batch.ids, batch_size, self._pad)


def open_engine(model: dict[str, Any], threads: int, precision: str, compiled: bool = False) -> TorchEngine:
    """Load the checkpoint."""
    return TorchEngine(model["checkpoint"], threads, precision, compiled, model["pad_token_id"])
