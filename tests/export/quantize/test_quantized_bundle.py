"""Variants below float32 from the checkpoint to the bundle: what the wishes change, what the manifest tells."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import strizh
from strizh.export import export_model
from strizh.export.quantize.quantizer import Quantizing
from strizh.export.recipes import PORTABLE_INT8, Promise, promise_of
from strizh.kernels import library_path
from strizh.runtime.errors import CheckpointError, ParityError, UsageError
from strizh.runtime.manifest import read_manifest


def test_the_manifest_tells_how_each_variant_was_made(make_checkpoint, tmp_path: Path) -> None:
    manifest = export_model(make_checkpoint(), tmp_path / "bundle", variants=["portable-int8", "portable-fp16"])
    assert manifest.variants == read_manifest(tmp_path / "bundle").variants
    int8, half = (manifest.variants[name].details for name in ("portable-int8", "portable-fp16"))
    assert int8["int8"]["weight_max"] == 63
    assert int8["int8"]["int8_sites"] == {"static": 4, "per_row": 4}
    assert int8["int8"]["kept_in_float"] == {}
    assert max(half["float16_magnitudes"].values()) <= 30_000
    assert {path.name for path in (tmp_path / "bundle/onnx").iterdir()} == {"model_quantized.onnx", "model_fp16.onnx"}
    with strizh.load(tmp_path / "bundle", variant="portable-int8") as encoder:
        together = encoder.encode(["стриж летит над рекой", "night"])
        np.testing.assert_allclose(encoder.encode("night"), together[1], atol=1e-6)


@pytest.mark.parametrize(
    "variant",
    [
        *("portable-fp32", "ort-fp32", "portable-fp16", "cuda-fp16", "cuda-bf16", "tensorrt-fp16", "tensorrt-bf16"),
        *(["cpu-fp32", "cpu-bf16", "cpu-int8"] if library_path() else []),
    ],
)
def test_int8_embeddings_for_any_variant(variant: str, make_checkpoint, tmp_path: Path) -> None:
    folder, wishes = make_checkpoint(), Quantizing(embeddings="int8")
    manifest = export_model(folder, tmp_path / "bundle", variants=[variant], quantizing=wishes)
    # A row is rounded to 127 steps of its largest value: within the promise, which the manifest shows lowered.
    promise = promise_of(variant, manifest.variants[variant].details)
    assert manifest.parity[variant]["cosine_min"] >= promise.cosine_min
    assert promise.cosine_min <= 0.9995
    graph = onnx.load(tmp_path / "bundle" / manifest.variants[variant].file).graph
    tables = [tensor for tensor in graph.initializer if tensor.name.startswith("embeddings.word")]
    assert [tensor.data_type for tensor in tables if len(tensor.dims) > 1 < tensor.dims[1]] == [onnx.TensorProto.INT8]


def test_tensorrt_int8_is_planned_with_static_scales_and_keeps_its_promise(make_checkpoint, tmp_path: Path) -> None:
    manifest = export_model(make_checkpoint(), tmp_path / "bundle", variants=["tensorrt-int8"])
    details, parity = manifest.variants["tensorrt-int8"].details["int8"], manifest.parity["tensorrt-int8"]
    assert details["int8_sites"] == {"static": 8, "per_row": 0} and details["weight_max"] == 127
    assert 0 < details["percent_of_matrix_flops_at_128_tokens"] < 100, "attention is not int8"
    assert parity["cosine_min"] >= PORTABLE_INT8.promise.cosine_min
    assert "run in NumPy" in parity["against"]


def test_the_recipe_by_name(make_checkpoint, tmp_path: Path) -> None:
    wishes = Quantizing(recipe="vnni")
    manifest = export_model(make_checkpoint(), tmp_path / "bundle", variants=["portable-int8"], quantizing=wishes)
    assert manifest.variants["portable-int8"].details["int8"]["weight_max"] == 127


def test_a_floor_is_a_promise_that_sites_are_kept_for(make_checkpoint, tmp_path: Path) -> None:
    def build(name: str, floor: float | None) -> dict:
        wishes = Quantizing(quality_floor=floor)
        # Forced: the floor may be met on the calibration texts alone.
        manifest = export_model(folder, tmp_path / name, variants=["portable-int8"], quantizing=wishes, force=True)
        return manifest.variants["portable-int8"].details | manifest.parity["portable-int8"]

    folder = make_checkpoint()
    plain, strict = build("plain", None), build("strict", 0.99999)
    assert plain["cosine_mean"] < strict["cosine_mean"]
    assert plain["int8"]["kept_in_float"] == {}
    assert strict["promise"]["cosine_mean"] == 0.99999 <= strict["int8"]["calibration_cosine"]["mean"]
    assert strict["int8"]["kept_in_float"]
    assert all("of cosine on average" in reason for reason in strict["int8"]["kept_in_float"].values())


def test_a_missed_promise_gives_the_figures_and_no_bundle(make_checkpoint, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("strizh.export.quantize.int8.least_kept", lambda sites, *_: (sites, {}, np.ones(1)))
    monkeypatch.setattr(Quantizing, "promise", lambda self, recipe: Promise(0.9999999, 0.9999999))
    folder = make_checkpoint()
    with pytest.raises(ParityError, match=r"portable-int8: cosine 0\.99\d+ at worst, promised 0\.9999999; .*--force"):
        export_model(folder, tmp_path / "bundle", variants=[PORTABLE_INT8.name])
    assert not (tmp_path / "bundle").exists()
    manifest = export_model(folder, tmp_path / "bundle", variants=[PORTABLE_INT8.name], force=True)
    assert any("kept by --force" in warning and "0.99" in warning for warning in manifest.warnings)


def test_texts_of_the_user(make_checkpoint, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("\n".join(json.dumps({"text": text}) for text in ("стриж летит", "the swift flies over river")))
    wishes = Quantizing(calibration=texts)
    manifest = export_model(make_checkpoint(), tmp_path / "bundle", variants=["portable-int8"], quantizing=wishes)
    assert manifest.parity["portable-int8"]["cosine_mean"] > 0.99
    texts.write_text("")
    with pytest.raises(UsageError, match=r"texts\.jsonl holds no text"):
        export_model(make_checkpoint(name="again"), tmp_path / "none", variants=["portable-int8"], quantizing=wishes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_one_line(value: float, make_checkpoint, tmp_path: Path) -> None:
    def poisoned(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors["encoder.layer.1.intermediate.dense.weight"][3, 3] = value
        return tensors

    folder = make_checkpoint(change=poisoned)
    for variant in ("portable-int8", "portable-fp16"):
        with pytest.raises(CheckpointError, match=r"intermediate\.dense\.weight.* holds NaN or infinity") as caught:
            export_model(folder, tmp_path / "bundle", variants=[variant])
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"recipe": "int4"}, "recipe 'int4' is not known; known: any-cpu, vnni"),
        ({"quality_floor": 1.5}, r"quality floor is 1\.5; expected a mean cosine such as 0\.999"),
        ({"embeddings": "int4"}, "embeddings is 'int4'; expected 'float' or 'int8'"),
    ],
)
def test_a_wrong_wish_names_the_right_ones(wishes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Quantizing(**wishes)
