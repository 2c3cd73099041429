"""bge-m3's other two heads, from its own files, against the formulas of its paper in PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from transformers import AutoModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

import strizh
from strizh.export import export_model, reference
from strizh.export.parity import parity_texts
from strizh.kernels import library_path
from strizh.runtime import cli
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import CheckpointError, DeviceError, ParityError, TruncationWarning, UsageError
from strizh.runtime.manifest import MANIFEST, File, read_manifest
from strizh.runtime.sessions.session import Session

VARIANTS = ["portable-fp32", "ort-fp32", *(["cpu-fp32", "cpu-bf16"] if library_path() else [])]
SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}
TEXTS = [*parity_texts()[:6], "Стриж, стриж, стриж.", "<mask> и <unk>", ""]


@pytest.fixture
def bge(publish: Callable[..., Path]) -> Path:
    """A small bge-m3: first-token pooling, unit vectors, the heads as float16 in files of their own."""
    folder = publish(XLMRobertaModel(XLMRobertaConfig(**SHAPE)), "unigram", pooling="cls_token")
    torch.manual_seed(11)
    for name, rows in (("sparse_linear.pt", 1), ("colbert_linear.pt", 40)):
        layer = torch.nn.Linear(SHAPE["hidden_size"], rows).half()
        torch.save(layer.state_dict(), folder / name)
    return folder


def by_formula(folder: Path) -> tuple[list[dict[int, float]], list[np.ndarray]]:
    """relu(w h + b), the largest a token id; (W h + b) / |W h + b| for all tokens but the first."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    sparse, colbert = (torch.load(folder / f"{name}_linear.pt", weights_only=True) for name in ("sparse", "colbert"))
    silent = {tokenizer.convert_tokens_to_ids(token) for token in ("<s>", "</s>", "<pad>", "<unk>")}
    weights, vectors = [], []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        heard = torch.relu(hidden @ sparse["weight"].float().T + sparse["bias"].float())[:, 0]
        best: dict[int, float] = {}
        for token, weight in zip(ids[0].tolist(), heard.tolist(), strict=True):
            if token not in silent and weight > 0:
                best[token] = max(weight, best.get(token, 0.0))
        weights.append(best)
        late = hidden @ colbert["weight"].float().T + colbert["bias"].float()
        vectors.append(torch.nn.functional.normalize(late, dim=-1)[1:].numpy())
    return weights, vectors


@pytest.mark.parametrize("variant", VARIANTS)
def test_term_weights_and_late_interaction(variant: str, bge: Path, tmp_path: Path) -> None:
    manifest = export_model(bge, tmp_path / "bundle", variants=[variant])
    figures = manifest.parity[variant]
    # As below; a cosine is off by half the square of an angle, which is some roundings.
    assert 0 < figures["sparse_error"] < (1e-5 if variant.endswith("fp32") else 2**-5)
    assert figures["colbert_cosine_min"] > 1 - (1e-9 if variant.endswith("fp32") else 2**-10)
    assert manifest.sparse
    assert manifest.multi_vector == 40
    weights, vectors = by_formula(bge)
    assert any(weights), "weights of 0 would not show a mistake"
    # float32: some hundred roundings of 6e-8 in values of about 1. bf16 has 8 bits, in each of 2 layers.
    atol = 5e-6 if variant.endswith("fp32") else 4 * 2**-8
    with strizh.load(tmp_path / "bundle", variant=variant) as encoder:
        for found, expected in zip(encoder.encode_sparse(TEXTS), weights, strict=True):
            every = sorted(found.keys() | expected.keys())
            left, right = ([side.get(token, 0.0) for token in every] for side in (found, expected))
            np.testing.assert_allclose(left, right, atol=atol)
        late = encoder.encode_multi_vector(TEXTS)
        for found, expected in zip(late, vectors, strict=True):
            np.testing.assert_allclose(found, expected, atol=atol)
        alone = [encoder.encode_multi_vector([text])[0] for text in TEXTS]
        for found, expected in zip(alone, late, strict=True):
            np.testing.assert_allclose(found, expected, atol=0 if variant.startswith("cpu") else 1e-6)
        np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("variant", ["cuda-fp16", "tensorrt-fp16"])
def test_graphs_for_a_gpu_are_measured_without_one(variant: str, bge: Path, tmp_path: Path) -> None:
    figures = export_model(bge, tmp_path / "bundle", variants=[variant]).parity[variant]
    # float16 has 11 bits, in each of 2 layers.
    assert 0 < figures["sparse_error"] < 2**-7
    assert 1 - 2**-14 < figures["colbert_cosine_min"] < 1


def test_long_texts(bge: Path, tmp_path: Path) -> None:
    export_model(bge, tmp_path / "bundle", variants=["portable-fp32"], max_length=16)
    long = " ".join(parity_texts()[:6])
    with strizh.load(tmp_path / "bundle") as encoder:
        with pytest.warns(TruncationWarning, match="1 of 2 texts are longer than 16 tokens") as caught:
            cut = encoder.encode_multi_vector([long, "Да"])
        assert caught[0].filename == __file__
        assert len(cut[0]) == 15
        rows = encoder.tokenize([long], overflow="split")
        (whole,) = encoder.encode_multi_vector([long], overflow="split")
        assert len(whole) == len(rows.input_ids) - len(rows)
        (weights,) = encoder.encode_sparse([long], overflow="split")
        assert weights.keys() <= set(rows.input_ids.tolist())
        with pytest.raises(UsageError, match="text 0 has"):
            encoder.encode_sparse([long], overflow="error")


def test_a_head_file_that_does_not_fit_is_refused(bge: Path, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(7, 40).state_dict(), bge / "colbert_linear.pt")
    with pytest.raises(CheckpointError, match=r"colbert_linear.pt holds .* expected"):
        export_model(bge, tmp_path / "bundle", variants=["portable-fp32"])


@pytest.mark.parametrize(
    ("head", "what"), [("sparse", "term weights off by"), ("multi_vector", "ColBERT vectors' cosine")]
)
def test_a_head_that_misses_its_promise_is_not_written(
    head: str, what: str, bge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reference.run

    def other_head(spec: Any, weights: Any, *texts: Any) -> Any:
        return real(
            spec, {slot: weights[slot] for slot in weights} | {f"{head}.bias": weights[f"{head}.bias"] + 1}, *texts
        )

    monkeypatch.setattr(reference, "run", other_head)
    with pytest.raises(ParityError, match=what):
        export_model(bge, tmp_path / "bundle", variants=["portable-fp32"])
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("against", [False, True], ids=["own-float32", "pytorch"])
def test_verify_measures_the_heads(
    against: bool, bge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, checkpoint = tmp_path / "bundle", ["--against", str(bge)] if against else []
    export_model(bge, bundle, variants=["portable-fp32", "ort-fp32"], verify=False)
    command = ["verify", str(bundle), "--variants", "ort-fp32", *checkpoint]
    assert cli.main(command) == 0
    grid = read_manifest(bundle).parity["ort-fp32"]["grid"]
    assert grid["sparse_error"] < 1e-5
    assert grid["colbert_cosine_min"] > 1 - 1e-9
    _spoil(bundle / "onnx/model_ort.onnx", "sparse.bias")
    manifest = read_manifest(bundle)
    manifest.files["onnx/model_ort.onnx"] = File.of(bundle / "onnx/model_ort.onnx")
    (bundle / MANIFEST).write_text(manifest.to_json())
    capsys.readouterr()
    assert cli.main(command) == 1
    assert "MISSED      term weights off by" in capsys.readouterr().out


def _spoil(path: Path, tensor: str) -> None:
    model = onnx.load(path)
    bias = next(one for one in model.graph.initializer if one.name == tensor)
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(1), tensor))
    onnx.save(model, path)


def test_verify_measures_the_heads_over_the_texts_that_a_variant_runs(
    bge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if ort-fp32 ran on engines for short texts: of 24 tokens, then of 2, which none of ours has."""
    bundle, run, most = tmp_path / "bundle", Session.run, 24
    export_model(bge, bundle, variants=["portable-fp32", "ort-fp32"], verify=False)

    def refuse(self: Session, batch: PackedBatch, *rest: Any, **options: Any) -> Any:
        if batch.lengths.max() > most and self._variant == "ort-fp32":
            raise DeviceError(f"its engines take up to {most}")
        return run(self, batch, *rest, **options)

    monkeypatch.setattr(Session, "run", refuse)
    assert cli.main(["verify", str(bundle), "--variants", "ort-fp32"]) == 0
    grid = read_manifest(bundle).parity["ort-fp32"]["grid"]
    assert grid["refused"] and 0 < grid["token_texts"] < len(parity_texts())
    assert grid["sparse_error"] < 1e-5 and grid["colbert_cosine_min"] > 0.99999
    assert f"of the largest, over {grid['token_texts']} texts" in capsys.readouterr().out
    most = 2
    assert cli.main(["verify", str(bundle), "--variants", "ort-fp32"]) == 0
    assert (
        "ort-fp32: its heads of tokens are not checked, no text of ours is of 2 tokens or fewer"
        in capsys.readouterr().err
    )
    assert read_manifest(bundle).parity["ort-fp32"]["grid"]["sparse_error"] is None
