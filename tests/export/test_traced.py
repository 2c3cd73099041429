"""`--method trace`: what has a family must come out the same, what has none must come out at all."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import strizh
from strizh.export import export_model
from strizh.export.baseline import of_checkpoint
from strizh.runtime.errors import UnsupportedModel, UsageError
from strizh.runtime.manifest import read_manifest

pytest.importorskip("torch")
MakeCheckpoint = Callable[..., Path]
TEXTS = ["стриж летит над рекой", "day", "the swift never sleeps " * 9]


@pytest.mark.parametrize("scaling", [None, "dynamic:2.0"])
def test_the_traced_ropebert_equals_the_built_one(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, scaling: str | None
) -> None:
    folder = make_checkpoint()
    vectors = []
    for method in ("build", "trace"):
        export_model(folder, tmp_path / method, variants=["portable-fp32"], rope_scaling=scaling, method=method)
        with strizh.load(tmp_path / method, variant="portable-fp32") as encoder:
            vectors.append(encoder.encode(TEXTS, overflow="split"))
    np.testing.assert_allclose(*vectors, rtol=0, atol=2e-5)


def saved_distilbert(folder: Path, **sizes: int) -> Path:
    """A model that no family describes, written by transformers itself."""
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=40, dim=24, n_layers=2, n_heads=2, hidden_dim=40, **sizes)
    DistilBertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def distilbert(make_checkpoint: MakeCheckpoint) -> Path:
    return saved_distilbert(make_checkpoint(), max_position_embeddings=32)


def test_an_encoder_without_a_family(distilbert: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="--method trace"):
        export_model(distilbert, tmp_path / "built")
    manifest = export_model(distilbert, tmp_path / "traced", method="trace", normalize=True)
    assert manifest.parity["portable-fp32"]["against"] == "PyTorch float32"
    assert manifest.parity["portable-fp32"]["cosine_min"] >= 0.999999
    assert read_manifest(tmp_path / "traced").spec["family"] == "traced distilbert"
    with strizh.load(tmp_path / "traced") as encoder:
        np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS[:2]), axis=1), 1, atol=1e-6)


def test_a_length_that_the_checkpoint_does_not_state_can_be_given(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    folder = saved_distilbert(make_checkpoint())
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("max_position_embeddings") == 512, "what transformers takes where nothing is stated"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").unlink(missing_ok=True)
    with pytest.raises(UsageError, match=r"how long a text may be\. Give --max-length"):
        export_model(folder, tmp_path / "traced", method="trace")
    manifest = export_model(folder, tmp_path / "traced", method="trace", max_length=20)
    assert manifest.max_length == 20
    assert of_checkpoint(str(folder), tmp_path / "traced", manifest).vectors([[5, 6]]).shape == (1, 24)


def test_only_portable_fp32_is_traced(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--method trace gives portable-fp32 only"):
        export_model(make_checkpoint(), tmp_path / "bundle", variants=["ort-fp32"], method="trace")


def test_remote_code_is_not_run(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = make_checkpoint("bert", config={"model_type": "own", "auto_map": {"AutoModel": "own.Own"}})
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(UnsupportedModel):
        export_model(folder, tmp_path / "bundle", method="trace")
    assert not (tmp_path / "ran").exists()
    assert json.loads((folder / "config.json").read_text())["auto_map"]
