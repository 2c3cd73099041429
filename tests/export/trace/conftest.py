"""Throw-away RoPEBert checkpoints, from the golden file's formula or from a seed."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

Tensors = dict[str, np.ndarray]
DATA = Path(__file__).parents[2] / "data"

# The fields of a published config.json that matter here, in the published form.
PUBLISHED = {
    "model_type": "bert",
    "architectures": ["RoPEBertForMaskedLM"],
    "auto_map": {"AutoConfig": "modeling_rope_bert.RoPEBertConfig", "AutoModel": "modeling_rope_bert.RoPEBertModel"},
    "attn_implementation": "eager",
    "pooler_type": "mean",
    "rope_scaling": None,
    "torch_dtype": "float32",
    "transformers_version": "4.37.2",
}


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return json.loads((DATA / "ropebert.json").read_text())


@pytest.fixture(scope="session")
def tiny_ru() -> Path:
    return DATA / "rope-e5-tiny-ru"


def golden_tensors(golden: dict[str, Any]) -> Tensors:
    """Base model, pooler and a classifier of three labels, by the recipe in the file."""
    sizes = golden["config"]
    hidden, wide = sizes["hidden_size"], sizes["intermediate_size"]

    def shape(name: str) -> tuple[int, ...]:
        if "word_embeddings" in name:
            return sizes["vocab_size"], hidden
        if "token_type" in name:
            return sizes["type_vocab_size"], hidden
        if "LayerNorm" in name or name.endswith("bias"):
            return (wide if "intermediate" in name else hidden,)
        if "intermediate" in name:
            return wide, hidden
        return hidden, wide if ".output.dense" in name and "attention" not in name else hidden

    tensors = {}
    for i, name in enumerate(golden["names_sorted"]):
        j = np.arange(np.prod(shape(name)), dtype=np.float64)
        value = 0.3 * np.sin(0.37 * j + 1.3 * i) + (1.0 if name.endswith("LayerNorm.weight") else 0.0)
        tensors[f"bert.{name}"] = value.astype(np.float32).reshape(shape(name))
    for name, size in (("bert.pooler.dense", (hidden, hidden)), ("classifier", (3, hidden))):
        for leaf, leaf_shape in (("weight", size), ("bias", size[:1])):
            j = np.arange(np.prod(leaf_shape), dtype=np.float64)
            tensors[f"{name}.{leaf}"] = (0.2 * np.cos(0.11 * j)).astype(np.float32).reshape(leaf_shape)
    return tensors


@pytest.fixture
def write_checkpoint(tmp_path: Path, golden: dict[str, Any]) -> Callable[..., Path]:
    """`write_checkpoint(change=..., **config)`: a folder in the published format with the golden weights.

    `change` takes the tensors by name and gives those to write.
    """

    def write(change: Callable[[Tensors], Tensors] = lambda tensors: tensors, **config: Any) -> Path:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        return write_folder(folder, {**golden["config"], **config}, change(golden_tensors(golden)))

    return write


@pytest.fixture(scope="session")
def golden_folder(golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint with a throw-away tokenizer, one word a token."""
    folder = tmp_path_factory.mktemp("golden")
    words = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{index}" for index in range(4, golden["config"]["vocab_size"]))]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>", "unk_token": "<unk>"}))
    return write_folder(folder, golden["config"], golden_tensors(golden))


def write_folder(folder: Path, config: dict[str, Any], tensors: Tensors) -> Path:
    (folder / "config.json").write_text(json.dumps({**PUBLISHED, **config}))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
