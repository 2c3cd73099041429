"""The checkpoint's PyTorch module, exported by PyTorch itself."""

from importlib import metadata
from typing import Any

ENVIRONMENT = "main"


def key(source: str) -> str:
    """Changes with the exporter's version."""
    return " ".join(metadata.version(name) for name in ("torch", "transformers", "onnxscript"))


def make(model: dict[str, Any], source: str, path: str) -> None:
    """Opset 20, whose `Gelu` ONNX Runtime fuses with the bias; later ones write an Attention that it cannot run masked."""
    import torch

    from benchmarks.sentence_module import SentenceModule

    module = SentenceModule(model["checkpoint"]).eval()
    ids = torch.full((2, 17), 5, dtype=torch.int64)
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        module,
        (ids, torch.ones_like(ids)),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["sentence_embedding"],
        dynamic_shapes=(dynamic, dynamic),
        opset_version=20,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
