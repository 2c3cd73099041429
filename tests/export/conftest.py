"""Small random checkpoints in the published formats, made without torch."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from strizh.export.parity import parity_texts

WORDS = (
    *("стриж", "летит", "над", "рекой", "и", "не", "спит", "ночь", "день", "вода", "огонь"),
    *("the", "swift", "flies", "over", "river", "never", "sleeps"),
)
MakeCheckpoint = Callable[..., Path]
VOCAB_SIZE = 500  # of a trained tokenizer
XLM_R = ["<s>", "<pad>", "</s>", "<unk>"]  # ids 0 to 3, as RoBERTa has them too
SPECIALS = {"word-piece": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "unigram": XLM_R, "byte-level": XLM_R}

BASE: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "vocab_size": 40,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 1,
}
KINDS: dict[str, dict[str, Any]] = {
    "bert": {"model_type": "bert", "architectures": ["BertModel"]},
    "xlm-roberta": {
        "model_type": "xlm-roberta",
        "architectures": ["XLMRobertaModel"],
        "max_position_embeddings": 34,
        "layer_norm_eps": 1e-5,
    },
    "ropebert": {
        "model_type": "bert",
        "architectures": ["RoPEBertForMaskedLM"],
        "auto_map": {"AutoModel": "modeling_rope_bert.RoPEBertModel"},
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "pooler_type": "mean",
        "type_vocab_size": 1,
    },
}


def tensors_of(config: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Random tensors under stock BERT names; a position table unless the config is rotary."""
    generator = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def pair(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        weight = generator.normal(0, 0.3, (rows, columns)).astype(np.float32)
        return {f"{name}.weight": weight, f"{name}.bias": generator.normal(0, 0.1, rows).astype(np.float32)}

    def norm(name: str) -> dict[str, np.ndarray]:
        weight = generator.normal(1, 0.1, hidden).astype(np.float32)
        return {f"{name}.weight": weight, f"{name}.bias": generator.normal(0, 0.1, hidden).astype(np.float32)}

    def table(rows: int) -> np.ndarray:
        return generator.normal(0, 1, (rows, hidden)).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": table(config["vocab_size"]),
        "embeddings.token_type_embeddings.weight": table(config["type_vocab_size"]),
        **norm("embeddings.LayerNorm"),
    }
    if "rope_theta" not in config:
        found["embeddings.position_embeddings.weight"] = table(config["max_position_embeddings"])
    for index in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{index}"
        for side in ("query", "key", "value"):
            found |= pair(f"{at}.attention.self.{side}", hidden, hidden)
        found |= pair(f"{at}.attention.output.dense", hidden, hidden) | norm(f"{at}.attention.output.LayerNorm")
        found |= pair(f"{at}.intermediate.dense", inner, hidden) | pair(f"{at}.output.dense", hidden, inner)
        found |= norm(f"{at}.output.LayerNorm")
    return found


def word_tokenizer(vocab_size: int) -> Tokenizer:
    """`<s> word word </s>`, ids 0 to 4 as XLM-R has them."""
    vocab = {token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    assert len(vocab) <= vocab_size
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return tokenizer


def train(kind: str, specials: Sequence[str] | None = None) -> Tokenizer:
    """A tokenizer of a published kind, trained on our own sentences."""
    options: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "show_progress": False}
    options["special_tokens"] = list(specials or SPECIALS[kind])
    if kind == "word-piece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(**options)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(unk_token="<unk>", **options)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)
    tokenizer.train_from_iterator(parity_texts(), trainer)
    first, last = ("[CLS]", "[SEP]") if kind == "word-piece" else ("<s>", "</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(name, tokenizer.token_to_id(name)) for name in (first, last)]
    )
    return tokenizer


@pytest.fixture(scope="session")
def train_tokenizer() -> Callable[..., Tokenizer]:
    """`train_tokenizer(kind, specials=None)`; the kinds are "word-piece", "unigram" and "byte-level"."""
    return train


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """`make_checkpoint(kind, config=..., change=..., modules=..., name=...)` writes a checkpoint folder."""

    def make(
        kind: str = "ropebert",
        *,
        config: dict[str, Any] | None = None,
        change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict,
        name: str = "checkpoint",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        settings = BASE | KINDS[kind] | (config or {})
        (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        save_file(change(tensors_of(settings)), folder / "model.safetensors")
        write_tokenizer(folder, settings["vocab_size"])
        return folder

    return make


def write_tokenizer(folder: Path, vocab_size: int) -> None:
    """The words' tokenizer beside a checkpoint, its own length limit as unreal as transformers writes it."""
    word_tokenizer(vocab_size).save(str(folder / "tokenizer.json"))
    tokenizer_config = {"pad_token": "<pad>", "model_max_length": 10**30}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config), encoding="utf-8")


@pytest.fixture
def add_tokenizer() -> Callable[[Path, int], None]:
    """`add_tokenizer(folder, vocab_size)`."""
    return write_tokenizer


def write_modules(
    folder: Path, pooling: dict[str, Any], *, normalize: bool = True, dense: tuple[np.ndarray, np.ndarray] | None = None
) -> None:
    """sentence-transformers files beside a checkpoint."""
    chain = [("Transformer", ""), ("Pooling", "1_Pooling")]
    chain += [("Dense", "2_Dense")] if dense else []
    chain += [("Normalize", f"{len(chain)}_Normalize")] if normalize else []
    steps = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(chain)
    ]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    if dense:
        weight, bias = dense
        home = folder / "2_Dense"
        home.mkdir()
        sizes = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": True}
        (home / "config.json").write_text(
            json.dumps(sizes | {"activation_function": "torch.nn.modules.activation.Tanh"})
        )
        save_file({"linear.weight": weight, "linear.bias": bias}, home / "model.safetensors")


@pytest.fixture
def add_modules() -> Callable[..., None]:
    """`add_modules(folder, pooling_config, normalize=..., dense=...)`."""
    return write_modules
