"""GTE as Alibaba-NLP/gte-multilingual-base (`new`) and Snowflake/snowflake-arctic-embed-m-v2.0 (`gte`) publish it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from transformers import GteConfig, GteModel

import strizh
from strizh.export import export_model
from strizh.runtime.errors import UnsupportedModel

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 8192,
}
Publish = Callable[..., Path]


def rewrite(folder: Path, **changes: Any) -> None:
    """Change config.json; None takes a key out."""
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def test_snowflake_arctic_embed(publish: Publish, assert_equals_transformers: Callable[..., Path]) -> None:
    folder = publish(GteModel(GteConfig(**SHAPE)), "unigram", pooling="cls_token")
    bundle = assert_equals_transformers(folder, "cls")
    assert json.loads((bundle / "strizh.json").read_text())["spec"]["layers"][0]["rope"]["theta"] == 160000.0


def test_gte_multilingual(publish: Publish, tmp_path: Path, assert_equals_transformers: Callable[..., Path]) -> None:
    """Its fixed NTK is theta * f and frequencies less by f ** (2 / d), which transformers can be told as `linear`."""
    factor, head = 8.0, 12
    linear = {"rope_type": "linear", "rope_theta": 20000.0 * factor, "factor": factor ** (2 / head)}
    folder = publish(GteModel(GteConfig(**SHAPE, rope_parameters=linear)), "unigram", pooling="cls_token")
    bundle = assert_equals_transformers(folder, "cls")
    with strizh.load(bundle, variant="portable-fp32") as encoder:
        expected = encoder.encode("Стриж летит над рекой и не спит.")
    tensors = load_file(folder / "model.safetensors")
    prefixed = {f"new.{name}": tensor for name, tensor in tensors.items()}
    save_file(prefixed, folder / "model.safetensors", metadata={"format": "pt"})
    scaling = {"factor": factor, "type": "ntk"}
    rewrite(folder, model_type="new", rope_parameters=None, rope_theta=20000, rope_scaling=scaling)
    variants = ["portable-fp32", "ort-fp32", *(["cpu-fp32"] if strizh.kernels.library_path() else [])]
    manifest = export_model(folder, tmp_path / "published", variants=variants)
    assert manifest.spec["layers"][0]["rope"]["scaling"] == "ntk"
    assert manifest.max_length == 8192
    for variant in variants:
        with strizh.load(tmp_path / "published", variant=variant) as encoder:
            # The same angles but for their rounding, through three small layers of float32.
            np.testing.assert_allclose(
                encoder.encode("Стриж летит над рекой и не спит."), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
            )


@pytest.mark.parametrize("changes", [{"logn_attention_scale": True}, {"position_embedding_type": "absolute"}])
def test_another_architecture_of_that_name_is_refused(
    publish: Publish, tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = publish(GteModel(GteConfig(**SHAPE)), "unigram")
    rewrite(folder, **changes)
    (key,) = changes
    with pytest.raises(UnsupportedModel, match=f"GTE's with {key}: "):
        export_model(folder, tmp_path / "bundle")
