"""jina-embeddings-v3 as jinaai publishes it, with an adapter for each task, and as transformers 5 saves it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import JinaEmbeddingsV3Config, JinaEmbeddingsV3Model

import strizh
from strizh.export import export_model
from strizh.kernels import library_path
from strizh.runtime.errors import UsageError

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 8194,
    "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0},
}
TASKS = {"retrieval.query": "Represent the query: ", "retrieval.passage": "Represent the document: ", "separation": ""}
RANK, ALPHA = 4, 2
VARIANTS = ["portable-fp32", "ort-fp32", *(["cpu-fp32"] if library_path() else [])]
SENTENCE = "Стриж летит над рекой и не спит, the swift never sleeps."
Publish = Callable[..., Path]


@pytest.fixture
def native(publish: Publish) -> Path:
    return publish(JinaEmbeddingsV3Model(JinaEmbeddingsV3Config(**SHAPE)), "unigram", name="native")


@pytest.fixture
def published(publish: Publish, native: Path) -> Path:
    """As on the hub: each matrix less what the adapter of `retrieval.passage` adds, under the names of parametrizations."""
    folder = publish(JinaEmbeddingsV3Model(JinaEmbeddingsV3Config(**SHAPE)), "unigram", name="published")
    draw, at = torch.Generator().manual_seed(1), list(TASKS).index("retrieval.passage")
    tensors: dict[str, torch.Tensor] = {}
    for name, weight in load_file(native / "model.safetensors").items():
        if weight.ndim == 1:  # norms and biases have no adapter
            tensors[f"roberta.{name}"] = weight
            continue
        rows, columns = weight.shape
        stem = f"roberta.{name.removesuffix('weight')}parametrizations.weight"
        if "embeddings" in name:  # x (W + A B)
            a = torch.randn(len(TASKS), rows, RANK, generator=draw)
            b = torch.randn(len(TASKS), RANK, columns, generator=draw) * 0.1
            added = a[at] @ b[at]
        else:  # (W + B A) x
            a = torch.randn(len(TASKS), RANK, columns, generator=draw) * columns**-0.5
            b = torch.randn(len(TASKS), rows, RANK, generator=draw)
            added = b[at] @ a[at]
        original = weight - added * ALPHA / RANK
        tensors |= {f"{stem}.original": original, f"{stem}.0.lora_A": a, f"{stem}.0.lora_B": b}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"]
    config |= {"model_type": "xlm-roberta", "position_embedding_type": "rotary", "rotary_emb_base": 20000.0}
    config |= {"lora_adaptations": list(TASKS), "lora_rank": RANK, "lora_alpha": ALPHA, "task_instructions": TASKS}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def vectors(bundle: Path, prompt: str | None = None) -> np.ndarray:
    """One row a variant."""
    found = []
    for variant in VARIANTS:
        with strizh.load(bundle, variant=variant) as encoder:
            found.append(encoder.encode(SENTENCE, prompt=prompt))
    return np.stack(found)


def test_without_adapters(native: Path, assert_equals_transformers: Callable[..., Path]) -> None:
    assert_equals_transformers(native, "mean")


def test_the_adapter_of_a_task_is_merged(native: Path, published: Path, tmp_path: Path) -> None:
    export_model(native, tmp_path / "expected", variants=VARIANTS)
    manifest = export_model(published, tmp_path / "merged", variants=VARIANTS, task="retrieval.passage")
    expected = vectors(tmp_path / "expected", "")
    # original + what the adapter adds is the weight again but for two roundings.
    np.testing.assert_allclose(vectors(tmp_path / "merged", ""), expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    assert "adapter of task 'retrieval.passage' is merged" in " ".join(manifest.warnings)
    assert (manifest.prompts, manifest.default_prompt_name) == (TASKS, "retrieval.passage")
    np.testing.assert_array_equal(
        vectors(tmp_path / "merged"), vectors(tmp_path / "merged", TASKS["retrieval.passage"])
    )


def test_other_tasks_and_none_are_other_models(native: Path, published: Path, tmp_path: Path) -> None:
    variants = ["portable-fp32"]
    found = []
    for task in (None, *TASKS):
        manifest = export_model(published, tmp_path / str(task), variants=variants, task=task)
        with strizh.load(tmp_path / str(task)) as encoder:
            found.append(encoder.encode(SENTENCE, prompt="", normalize_embeddings=True))
        assert ("no adapter is merged" in " ".join(manifest.warnings)) == (task is None)
    cosines = np.stack(found) @ np.stack(found).T
    assert (cosines[~np.eye(len(found), dtype=bool)] < 0.99).all()


def test_a_task_that_is_not_there_is_refused(native: Path, published: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no adapter for task 'sts'; it has retrieval\.query, retrieval\.passage, sep"
    ):
        export_model(published, tmp_path / "bundle", task="sts")
    with pytest.raises(UsageError, match="no adapter for task 'separation'; it has no adapters, so leave --task out"):
        export_model(native, tmp_path / "bundle", task="separation")
