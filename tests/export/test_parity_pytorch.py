"""Exported graphs against PyTorch: seeded random checkpoints, written by transformers itself, of every family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import transformers

from strizh.export import export_model
from strizh.export.emulation.run import emulated
from strizh.export.trace import RoPEBertConfig, RoPEBertForSequenceClassification, RoPEBertModel
from strizh.runtime.batching import PackedBatch

GRAPHS = {"portable-fp32": "", "ort-fp32": "_ort"}
LIMIT = 32  # tokens that the positions were made for
LENGTHS = (1, 2, 3, 5, 8, 13, 21, LIMIT - 1, LIMIT)
# The limits of the project for float32.
COSINE, MAX_ABS = 0.999999, 2e-5
# An element of a unit vector is rounded by the last product, the mean, the norm and the division: four half-ulps of 1.
ROUNDING_FLOOR = 4 * 2.0**-24

SHAPE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "intermediate_size": 192,
    "pad_token_id": 1,
    "num_labels": 48,  # so many that the largest of their errors is no accident
}
ROPE = SHAPE | {"max_position_embeddings": LIMIT, "type_vocab_size": 1}
XLM = SHAPE | {"max_position_embeddings": LIMIT + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
FAMILIES: dict[str, tuple[Any, Any, Any]] = {
    "bert": (
        transformers.BertModel,
        transformers.BertForSequenceClassification,
        transformers.BertConfig(**SHAPE, max_position_embeddings=LIMIT),
    ),
    "xlm-roberta": (
        transformers.XLMRobertaModel,
        transformers.XLMRobertaForSequenceClassification,
        transformers.XLMRobertaConfig(**XLM),
    ),
    "roberta": (
        transformers.RobertaModel,
        transformers.RobertaForSequenceClassification,
        transformers.RobertaConfig(**XLM),
    ),
    "ropebert": (RoPEBertModel, RoPEBertForSequenceClassification, RoPEBertConfig(**ROPE)),
}
Checkpoint = tuple[Path, Callable[..., Any]]


@pytest.fixture
def write(tmp_path: Path, add_tokenizer: Callable[[Path, int], None]) -> Callable[..., Checkpoint]:
    """`write(family, classifier=False)`: a folder, and how to load it again at a dtype."""

    def make(family: str, classifier: bool = False) -> Checkpoint:
        base, classifying, config = FAMILIES[family]
        model_class = classifying if classifier else base
        torch.manual_seed(5)
        model = model_class(config)
        with torch.no_grad():  # transformers' own initialisation is so flat that mistakes would not show
            for name, parameter in model.named_parameters():
                spread = 0.1 if "LayerNorm" in name or name.endswith("bias") else parameter.shape[-1] ** -0.5
                parameter.normal_(1.0 if name.endswith("LayerNorm.weight") else 0.0, spread)
        folder = tmp_path / family
        model.save_pretrained(folder)
        add_tokenizer(folder, config.vocab_size)

        def load(dtype: torch.dtype, **overrides: Any) -> Any:
            return model_class.from_pretrained(folder, dtype=dtype, attn_implementation="eager", **overrides)

        return folder, load

    return make


def padded(lengths: tuple[int, ...]) -> dict[str, np.ndarray]:
    attention_mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    words = np.random.default_rng(11).integers(4, SHAPE["vocab_size"], attention_mask.shape)
    return {"input_ids": np.where(attention_mask, words, 1), "attention_mask": attention_mask}


def mean(output: Any, attention_mask: torch.Tensor) -> torch.Tensor:
    weights = attention_mask[:, :, None].to(output.last_hidden_state.dtype)
    return (output.last_hidden_state * weights).sum(1) / weights.sum(1)


def own_pooler(output: Any, attention_mask: torch.Tensor) -> torch.Tensor:
    return output.pooler_output


def logits(output: Any, attention_mask: torch.Tensor) -> torch.Tensor:
    return output.logits


def run_torch(model: Any, inputs: dict[str, np.ndarray], head: Callable[..., torch.Tensor]) -> np.ndarray:
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with torch.no_grad():
        return head(model(**tensors), tensors["attention_mask"]).double().numpy()


def alone(model: Any, inputs: dict[str, np.ndarray], head: Callable[..., torch.Tensor]) -> np.ndarray:
    """Each text by itself, so that nothing about padding is taken from the model under test's rival."""
    lengths = inputs["attention_mask"].sum(1)
    rows = [
        run_torch(model, {name: value[row : row + 1, :length] for name, value in inputs.items()}, head)
        for row, length in enumerate(lengths)
    ]
    return np.concatenate(rows)


def run_graph(path: Path, inputs: dict[str, np.ndarray], output: str = "sentence_embedding") -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = {"token_type_ids": np.zeros_like(inputs["input_ids"])} | inputs  # a classifier's graph takes them: of pairs
    fed = {one.name: fed[one.name] for one in session.get_inputs()}
    return session.run([output], fed)[0].astype(np.float64)


def run_cuda_graph(path: Path, inputs: dict[str, np.ndarray], output: str = "sentence_embedding") -> np.ndarray:
    """The packed graph for CUDA, in NumPy."""
    rows = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    texts = [ids[: mask.sum()].tolist() for ids, mask in rows]
    return emulated(path, output, PackedBatch.pack(texts)).astype(np.float64)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def assert_parity(found: np.ndarray, single: np.ndarray, exact: np.ndarray) -> None:
    """The limits against float32 PyTorch, and no more than twice its own error against float64."""
    found, single, exact = unit(found), unit(single), unit(exact)
    assert (1 - ((found - single) ** 2).sum(-1) / 2).min() >= COSINE
    assert np.abs(found - single).max() <= MAX_ABS
    assert np.abs(found - exact).max() <= 2 * np.abs(single - exact).max() + ROUNDING_FLOOR


# A RoPEBert with a mean pooler has no other; the golden cases cover its first_token_transform.
POOLED = [(family, "mean") for family in FAMILIES] + [
    (family, "first_token_transform") for family in FAMILIES if family != "ropebert"
]


@pytest.mark.parametrize(("family", "pooling"), POOLED)
def test_vectors(family: str, pooling: str, write: Callable[..., Checkpoint], tmp_path: Path) -> None:
    folder, load = write(family)
    export_model(folder, tmp_path / "out", variants=list(GRAPHS), pooling=pooling, verify=False)
    inputs, head = padded(LENGTHS), mean if pooling == "mean" else own_pooler
    single, exact = (alone(load(dtype), inputs, head) for dtype in (torch.float32, torch.float64))
    for suffix in GRAPHS.values():
        assert_parity(run_graph(tmp_path / f"out/onnx/model{suffix}.onnx", inputs), single, exact)


@pytest.mark.parametrize(
    ("scaling", "ntk_length"), [("linear:4.0", "text"), ("dynamic:2.0", "text"), ("dynamic:2.0", "batch")]
)
def test_scaled_rope_bert_beyond_its_positions(
    scaling: str, ntk_length: str, write: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    folder, load = write("ropebert")
    options = {"rope_scaling": scaling, "ntk_length": ntk_length}
    export_model(folder, tmp_path / "out", variants=list(GRAPHS), verify=False, **options)
    kind, factor = scaling.split(":")
    rope = {"type": kind, "factor": float(factor)}
    inputs = padded((*LENGTHS, LIMIT + 1, 2 * LIMIT))
    judge = alone if ntk_length == "text" else run_torch
    single, exact = (
        judge(load(dtype, rope_scaling=rope), inputs, own_pooler) for dtype in (torch.float32, torch.float64)
    )
    for suffix in GRAPHS.values():
        assert_parity(run_graph(tmp_path / f"out/onnx/model{suffix}.onnx", inputs), single, exact)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits(family: str, write: Callable[..., Checkpoint], tmp_path: Path) -> None:
    folder, load = write(family, classifier=True)
    export_model(folder, tmp_path / "out", variants=list(GRAPHS), verify=False)
    inputs = padded(LENGTHS)
    single, exact = (alone(load(dtype), inputs, logits) for dtype in (torch.float32, torch.float64))
    for suffix in GRAPHS.values():
        found = run_graph(tmp_path / f"out/onnx/classifier{suffix}.onnx", inputs, "logits")
        assert_parity(found, single, exact)


# What cuda-fp16 promises.
HALF = 0.9999


def cosine(found: np.ndarray, single: np.ndarray) -> float:
    return float((1 - ((unit(found) - unit(single)) ** 2).sum(-1) / 2).min())


@pytest.mark.parametrize(("family", "pooling"), POOLED)
def test_cuda_vectors(family: str, pooling: str, write: Callable[..., Checkpoint], tmp_path: Path) -> None:
    folder, load = write(family)
    export_model(folder, tmp_path / "out", variants=["cuda-fp16"], pooling=pooling, verify=False)
    inputs, head = padded(LENGTHS), mean if pooling == "mean" else own_pooler
    single = alone(load(torch.float32), inputs, head)
    assert cosine(run_cuda_graph(tmp_path / "out/packed/cuda_fp16.onnx", inputs), single) >= HALF


@pytest.mark.parametrize("scaling", ["linear:4.0", "dynamic:2.0"])
def test_cuda_scaled_rope_bert_beyond_its_positions(
    scaling: str, write: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    folder, load = write("ropebert")
    export_model(folder, tmp_path / "out", variants=["cuda-fp16"], verify=False, rope_scaling=scaling)
    kind, factor = scaling.split(":")
    inputs = padded((*LENGTHS, LIMIT + 1, 2 * LIMIT))
    single = alone(load(torch.float32, rope_scaling={"type": kind, "factor": float(factor)}), inputs, own_pooler)
    assert cosine(run_cuda_graph(tmp_path / "out/packed/cuda_fp16.onnx", inputs), single) >= HALF


@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_logits(family: str, write: Callable[..., Checkpoint], tmp_path: Path) -> None:
    folder, load = write(family, classifier=True)
    export_model(folder, tmp_path / "out", variants=["cuda-fp16"], verify=False)
    inputs = padded(LENGTHS)
    found = run_cuda_graph(tmp_path / "out/packed/cuda_fp16_classifier.onnx", inputs, "logits")
    assert cosine(found, alone(load(torch.float32), inputs, logits)) >= HALF
