"""Checkpoints as transformers saves them, small and seeded, with tokenizers of the kinds that published models have."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForTextEncoding, PreTrainedModel, PreTrainedTokenizerFast

import strizh
from strizh.export import export_model
from strizh.export.emulation.run import emulated
from strizh.export.parity import compare, parity_texts
from strizh.export.recipes import CUDA_FP16, TENSORRT_FP16, find_recipe
from strizh.kernels import library_path

VARIANTS = ["portable-fp32", "ort-fp32", *(["cpu-fp32", "cpu-bf16"] if library_path() else [])]
ON_A_GPU = (CUDA_FP16, TENSORRT_FP16)  # run in NumPy, in bf16 by the targets' own tests
EVERY = (*VARIANTS, *(recipe.name for recipe in ON_A_GPU))
# An element of a unit vector is rounded by the last product, the mean, the norm and the division: four half-ulps of 1.
ROUNDING_FLOOR = 4 * 2.0**-24


def save_tokenizer(folder: Path, tokenizer: Tokenizer, kind: str) -> None:
    names = ("cls_token", "sep_token", "pad_token", "unk_token")
    tokens = ("[CLS]", "[SEP]", "[PAD]", "[UNK]") if kind == "word-piece" else ("<s>", "</s>", "<pad>", "<unk>")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, tokens, strict=True)), model_max_length=10**30
    )
    fast.save_pretrained(folder)


def shake(model: PreTrainedModel) -> None:
    """Random weights that tell: transformers' own are so flat that mistakes would not show."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name.lower() and name.endswith("weight")
            spread = 0.1 if is_norm or name.endswith("bias") else parameter.shape[-1] ** -0.5
            if name.endswith("SelfAttention.q.weight"):  # T5 has no scale: its own initialisation has it in here
                spread *= model.config.d_kv**-0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):  # GPT-2's, so that layers refine what they add to
                spread *= (2 * model.config.num_hidden_layers) ** -0.5
            if name.endswith(("embed_tokens.weight", "rel_embeddings.weight")):
                spread = 1.0
            parameter.normal_(1.0 if is_norm else 0.0, spread)


@pytest.fixture(name="shake")
def shaking() -> Callable[[PreTrainedModel], None]:
    """`shake(model)`, for tests that publish by themselves."""
    return shake


@pytest.fixture
def publish(
    tmp_path: Path, add_modules: Callable[..., None], train_tokenizer: Callable[..., Tokenizer]
) -> Callable[..., Path]:
    """`publish(model, tokenizer, pooling=..., prompts=..., default=..., dense=...)`: a folder such as authors upload."""

    def write(
        model: PreTrainedModel,
        tokenizer: str,
        *,
        specials: Sequence[str] | None = None,
        pooling: str = "mean_tokens",
        prompts: dict[str, str] | None = None,
        default: str | None = None,
        name: str = "checkpoint",
        **modules: Any,
    ) -> Path:
        shake(model)
        folder = tmp_path / name
        model.save_pretrained(folder)
        save_tokenizer(folder, train_tokenizer(tokenizer, specials), tokenizer)
        add_modules(folder, {f"pooling_mode_{pooling}": True}, **modules)
        stored = {"prompts": prompts or {}, "default_prompt_name": default}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(stored))
        return folder

    return write


def sentences() -> list[str]:
    """Ours of every length, and some grown together into longer ones."""
    texts = parity_texts()
    return [*texts[:24], *(" ".join(texts[start : start + 4]) for start in (0, 20, 40)), " ".join(texts[::9])]


Pool = Callable[[torch.Tensor], torch.Tensor]
POOLINGS: dict[str, Pool] = {"mean": lambda hidden: hidden.mean(1), "cls": lambda hidden: hidden[:, 0]}


def by_transformers(folder: Path, texts: Sequence[str], pool: Pool, dtype: torch.dtype) -> np.ndarray:
    """Unit vectors of transformers' model and tokenizer, each text alone."""
    auto = AutoModelForTextEncoding if "t5" in (folder / "config.json").read_text() else AutoModel
    model = auto.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    rows = []
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            rows.append(pool(hidden)[0].double().numpy())
    return unit(np.stack(rows))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def assert_equals_transformers(tmp_path: Path) -> Callable[..., Path]:
    """`assert_equals_transformers(folder, pool, prompt="", variants=...)` exports them, checks all, and gives the bundle.

    `pool` is "mean", "cls" or a function of [1, sequence, hidden]; `prompt` is the text that encode() must add by itself.
    The export compares with the spec in NumPy, this one with transformers from the text on: the recipe's promise against
    float32, and in the float32 variants no more than twice PyTorch's own error against float64.
    """

    if not library_path():
        warnings.warn("the kernels were not built: cpu-fp32 and cpu-bf16 are not compared", stacklevel=1)

    def check(folder: Path, pool: str | Pool, prompt: str = "", variants: Sequence[str] = EVERY) -> Path:
        bundle, texts = tmp_path / f"{folder.name}-bundle", sentences()
        export_model(folder, bundle, variants=variants)
        pooling = POOLINGS[pool] if isinstance(pool, str) else pool
        prompted = [prompt + text for text in texts]
        single, exact = (by_transformers(folder, prompted, pooling, dtype) for dtype in (torch.float32, torch.float64))
        for name in variants:
            recipe = find_recipe(name)
            if recipe in ON_A_GPU:
                continue
            onnx.checker.check_model(str(bundle / recipe.file), full_check=True)
            with strizh.load(bundle, variant=name) as encoder:
                found = unit(encoder.encode(texts).astype(np.float64))
            assert compare(found, single, "").misses(recipe.promise) == [], name
            if recipe.precision == "fp32":
                limit = 2 * np.abs(single - exact).max() + ROUNDING_FLOOR
                assert np.abs(found - exact).max() <= limit, name
        with strizh.load(bundle, variant="portable-fp32") as encoder:
            rows = encoder.tokenize(prompted, prompt="")
        for recipe in ON_A_GPU:
            if recipe.name in variants:
                found = unit(emulated(bundle / recipe.file, "sentence_embedding", rows).astype(np.float64))
                assert compare(found, single, "").misses(recipe.promise) == [], f"{recipe.name}, run in NumPy"
        return bundle

    return check
