"""The XLM-RoBERTas by name: what each published checkpoint has that a plain one has not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

import strizh

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
Publish = Callable[..., Path]
Assert = Callable[..., Path]


def as_torch_file(folder: Path) -> None:
    """The weights as older repositories have them."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_bge_m3(publish: Publish, assert_equals_transformers: Assert) -> None:
    """8194 positions, the first token, weights in a torch file with head files of their own beside it."""
    folder = publish(
        XLMRobertaModel(XLMRobertaConfig(**SHAPE | {"max_position_embeddings": 8194})), "unigram", pooling="cls_token"
    )
    as_torch_file(folder)
    torch.save({"weight": torch.ones(1, 48), "bias": torch.zeros(1)}, folder / "sparse_linear.pt")
    bundle = assert_equals_transformers(folder, "cls")
    assert json.loads((bundle / "strizh.json").read_text())["max_length"] == 8192


def test_multilingual_e5_large_instruct(publish: Publish, assert_equals_transformers: Assert) -> None:
    """Weights in float16; the instruction is a prompt with a line break."""
    instruction = "Instruct: Find the passage that answers\nQuery: "
    model = XLMRobertaModel(XLMRobertaConfig(**SHAPE)).half()
    folder = publish(model, "unigram", prompts={"query": instruction}, default="query")
    assert_equals_transformers(folder, "mean", prompt=instruction)


def test_ru_e5_base(publish: Publish, assert_equals_transformers: Assert) -> None:
    """Saved as a masked language model, under `roberta.` with its head."""
    assert_equals_transformers(publish(XLMRobertaForMaskedLM(XLMRobertaConfig(**SHAPE)), "unigram"), "mean")


def test_paraphrase_multilingual_mpnet_base_v2(publish: Publish, assert_equals_transformers: Assert) -> None:
    """An XLM-RoBERTa whatever its name says, cut at 128 tokens, its vectors of any length."""
    folder = publish(XLMRobertaModel(XLMRobertaConfig(**SHAPE)), "unigram", normalize=False)
    bundle = assert_equals_transformers(folder, "mean")
    with strizh.load(bundle, variant="portable-fp32") as encoder:
        assert abs(np.linalg.norm(encoder.encode("стриж")) - 1) > 0.01


def test_symanto_snli(publish: Publish, assert_equals_transformers: Assert) -> None:
    """A torch file alone, mean without Normalize."""
    folder = publish(XLMRobertaModel(XLMRobertaConfig(**SHAPE)), "unigram", normalize=False)
    as_torch_file(folder)
    assert_equals_transformers(folder, "mean")
