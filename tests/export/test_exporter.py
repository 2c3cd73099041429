"""From a folder to a bundle: what the options change, what is written, and that nothing half is left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import strizh
from strizh.export import export_model, exporter, reference
from strizh.export.checkpoint import read_checkpoint
from strizh.export.exporter import default_variants
from strizh.export.families import find_family
from strizh.export.options import Options, plan
from strizh.export.quantize.quantizer import Quantizing
from strizh.kernels.reference import normalize
from strizh.runtime.errors import CheckpointError, Error, ParityError, UsageError
from strizh.runtime.manifest import read_manifest

MakeCheckpoint = Callable[..., Path]
PADDED = ["portable-fp32", "ort-fp32"]
CLASSIFIER = {"architectures": ["RoPEBertForSequenceClassification"]}


def planned(folder: Path, **options: object) -> exporter.Plan:
    checkpoint = read_checkpoint(folder)
    return plan(checkpoint, find_family(checkpoint).describe(checkpoint), Options(**options))  # type: ignore[arg-type]


def limit_tokenizer(folder: Path, limit: int) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<pad>", "model_max_length": limit}))


def test_the_length_limit(make_checkpoint: MakeCheckpoint, add_modules: Callable[..., None]) -> None:
    folder = make_checkpoint()
    assert planned(folder).max_length == 32, "the positions, where the tokenizer says nothing real"
    assert planned(folder, rope_scaling="dynamic:2.0").max_length == 64, "positions times factor"
    limit_tokenizer(folder, 20)
    assert planned(folder).max_length == 20, "the tokenizer's, where it is smaller"
    assert planned(folder, max_length=27).max_length == 27, "the flag wins"
    add_modules(folder, {"pooling_mode_mean_tokens": True})
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 25}))
    assert planned(folder).max_length == 25, "the modules' before the tokenizer's"


def test_only_rotary_positions_can_be_left_behind_and_not_silently(make_checkpoint: MakeCheckpoint) -> None:
    rotary, learned = make_checkpoint(name="rotary"), make_checkpoint("bert", name="learned")
    assert "quality on longer texts is not known" in planned(rotary, max_length=100).warnings[0]
    assert planned(rotary, max_length=64, rope_scaling="linear:2.0").warnings == ()
    with pytest.raises(UsageError, match="beyond the 32 positions that this model has learned"):
        planned(learned, max_length=33)


@pytest.mark.parametrize(
    "text",
    [
        "dynamic", "dynamic:1", "dynamic:nan", "yarn:2", "linear:-1", "linear:", "none:", "none:2", "dynamic:inf",
        "dynamic:1e7", "",
    ],
)  # fmt: skip
def test_a_wrong_rope_scaling_lists_the_right_ones(make_checkpoint: MakeCheckpoint, text: str) -> None:
    with pytest.raises(UsageError, match="expected none, linear:F or dynamic:F"):
        planned(make_checkpoint(), rope_scaling=text)


def test_learned_positions_have_no_rope_to_scale(make_checkpoint: MakeCheckpoint) -> None:
    with pytest.raises(UsageError, match="is for rotary models"):
        planned(make_checkpoint("bert"), rope_scaling="dynamic:2.0")


def test_pooling_and_normalisation_come_from_flag_then_modules_then_config(
    make_checkpoint: MakeCheckpoint, add_modules: Callable[..., None]
) -> None:
    folder = make_checkpoint()
    assert (planned(folder).spec.pooling, planned(folder).spec.normalize) == (("mean",), False)
    add_modules(folder, {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True})
    assert (planned(folder).spec.pooling, planned(folder).spec.normalize) == (("cls", "mean"), True)
    changed = planned(folder, pooling="max", normalize=False).spec
    assert (changed.pooling, changed.normalize) == (("max",), False)


def test_a_tokenizer_with_more_tokens_than_rows_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint(config={"vocab_size": 40})
    vocab = json.loads((folder / "tokenizer.json").read_text())
    vocab["model"]["vocab"] |= {f"extra{index}": 22 + index for index in range(40)}
    (folder / "tokenizer.json").write_text(json.dumps(vocab))
    with pytest.raises(CheckpointError, match="the tokenizer belongs to another model"):
        planned(folder)


def test_a_dense_module_is_in_the_graph(
    make_checkpoint: MakeCheckpoint, add_modules: Callable[..., None], tmp_path: Path
) -> None:
    folder, generator = make_checkpoint("bert"), np.random.default_rng(3)
    dense = generator.normal(0, 0.3, (10, 24)).astype("f4"), generator.normal(0, 0.1, 10).astype("f4")
    add_modules(folder, {"pooling_mode_cls_token": True}, dense=dense)
    manifest = export_model(folder, tmp_path / "bundle", variants=PADDED)
    assert manifest.dimension == 10
    with strizh.load(tmp_path / "bundle", variant="portable-fp32") as encoder:
        packed, found = encoder.tokenize("стриж летит над рекой"), encoder.encode("стриж летит над рекой")
    checkpoint = read_checkpoint(folder)
    spec = planned(folder, normalize=False).spec
    family = find_family(checkpoint)
    weights = exporter.bind_weights(checkpoint, family, planned(folder))[0]
    bare = reference.run(exporter.dataclasses.replace(spec, projections=()), weights, [packed.input_ids.tolist()])
    expected = normalize(np.tanh(bare.sentence_embedding @ dense[0].T.astype("f8") + dense[1]))
    np.testing.assert_allclose(found, expected[0], atol=1e-6)


def test_a_classifier_shares_the_weights_of_its_encoder(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    def with_head(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        head = {"classifier.weight": np.eye(3, 24, dtype="f4"), "classifier.bias": np.zeros(3, "f4")}
        return {f"bert.{name}": tensor for name, tensor in tensors.items()} | head

    config = {"architectures": ["RoPEBertForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}}
    folder = make_checkpoint(config=config, change=with_head)
    manifest = export_model(folder, tmp_path / "bundle", variants=PADDED)
    assert manifest.labels == ("a", "b", "c")
    assert all(manifest.parity[name]["logits_error"] < 1e-5 for name in PADDED)
    with strizh.load(tmp_path / "bundle", variant="portable-fp32") as encoder:
        logits = encoder.classify("вода и огонь", activation="identity")
        np.testing.assert_allclose(logits, encoder.encode("вода и огонь")[:3], atol=1e-5)
    graphs = sum((tmp_path / "bundle/onnx" / name).stat().st_size for name in ("model.onnx", "classifier.onnx"))
    assert graphs < (tmp_path / "bundle/onnx/model.onnx_data").stat().st_size


def test_what_other_tools_read_is_where_they_look(
    make_checkpoint: MakeCheckpoint, add_modules: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_checkpoint()
    add_modules(folder, {"pooling_mode_mean_tokens": True})
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "the "}, "default_prompt_name": "query"})
    )
    export_model(folder, tmp_path / "bundle", variants=PADDED, max_length=30)
    read = {path.relative_to(tmp_path / "bundle").as_posix(): path for path in (tmp_path / "bundle").rglob("*.json")}
    assert "auto_map" not in json.loads(read["config.json"].read_text())
    assert json.loads(read["tokenizer_config.json"].read_text())["model_max_length"] == 30
    assert json.loads(read["sentence_bert_config.json"].read_text())["max_seq_length"] == 30
    assert json.loads(read["1_Pooling/config.json"].read_text())["pooling_mode_mean_tokens"] is True
    assert [step["path"] for step in json.loads(read["modules.json"].read_text())] == ["", "1_Pooling", "2_Normalize"]
    assert json.loads(read["config_sentence_transformers.json"].read_text())["default_prompt_name"] == "query"
    assert not list((tmp_path / "bundle").rglob("*.py")), "a bundle is data"
    for graph in ("model", "model_ort"):
        onnx.checker.check_model(onnx.load(tmp_path / f"bundle/onnx/{graph}.onnx"), full_check=True)


def test_the_manifest_lists_every_file_and_carries_the_parity(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    export_model(make_checkpoint(), tmp_path / "bundle", variants=PADDED)
    manifest = read_manifest(tmp_path / "bundle")
    on_disk = {
        path.relative_to(tmp_path / "bundle").as_posix() for path in (tmp_path / "bundle").rglob("*") if path.is_file()
    }
    assert on_disk == {*manifest.files, "strizh.json"}
    assert manifest.parity["portable-fp32"]["texts"] == 8
    assert manifest.parity["ort-fp32"]["texts"] == 64
    assert manifest.parity["ort-fp32"]["cosine_min"] >= 0.999999


def test_the_float32_graph_that_only_the_check_needed_is_not_kept(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    manifest = export_model(make_checkpoint(), tmp_path / "bundle", variants=["ort-fp32"])
    assert list(manifest.variants) == ["ort-fp32"]
    assert manifest.parity.keys() == {"ort-fp32"}
    assert [path.name for path in (tmp_path / "bundle/onnx").iterdir()] == ["model_ort.onnx"]


def test_an_existing_bundle_is_replaced_only_by_force(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder, output = make_checkpoint(), tmp_path / "bundle"
    export_model(folder, output, variants=PADDED[:1], verify=False)
    with pytest.raises(UsageError, match="is a bundle already"):
        export_model(folder, output, variants=PADDED[:1], verify=False)
    export_model(folder, output, variants=PADDED[1:], verify=False, force=True)
    assert not (output / "onnx/model.onnx").exists()
    onnxruntime.InferenceSession(output / "onnx/model_ort.onnx", providers=["CPUExecutionProvider"])


def test_a_folder_with_other_things_is_never_deleted(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    precious = tmp_path / "documents/thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    for force in (False, True):
        with pytest.raises(UsageError, match="other things in it"):
            export_model(make_checkpoint(name=f"checkpoint{force}"), precious.parent, force=force)
    assert precious.read_text() == "years of work"


def test_a_failed_export_leaves_nothing(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    def poisoned(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors["encoder.layer.1.output.dense.weight"][0, 0] = np.inf
        return tensors

    folder = make_checkpoint(change=poisoned)
    before = set(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        export_model(folder, tmp_path / "bundle", variants=PADDED)
    assert set(tmp_path.iterdir()) == before


def test_a_missed_promise_stops_the_export_unless_forced(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: object) -> object:
        return reference.Outputs((), -np.ones((1, 24)), None)

    folder = make_checkpoint()
    monkeypatch.setattr("strizh.export.reference.run", wrong)
    with pytest.raises(ParityError, match=r"portable-fp32: cosine .* promised 0\.999999"):
        export_model(folder, tmp_path / "bundle", variants=PADDED)
    assert not (tmp_path / "bundle").exists()
    manifest = export_model(folder, tmp_path / "bundle", variants=PADDED, force=True)
    assert any(note.startswith("kept by --force") for note in manifest.warnings)


def test_batch_ntk_is_for_padded_targets_only(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a padded batch, which cpu-bf16 never has"):
        export_model(
            make_checkpoint(),
            tmp_path / "bundle",
            variants=["cpu-bf16"],
            rope_scaling="dynamic:2.0",
            ntk_length="batch",
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variants": ["portable-fp64"]}, "variant 'portable-fp64' is not known; known: portable-fp32"),
        ({"pooling": "median"}, "pooling 'median' is not known; expected one of mean"),
        ({"ntk_length": "word"}, "expected 'text' or 'batch'"),
        ({"ntk_length": "batch"}, "--ntk-length batch is for dynamic RoPE scaling, which this model has not"),
        ({"max_length": 0}, "expected at least 3, for 2 special tokens"),
    ],
)
def test_a_wrong_argument_names_the_right_ones(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_model(make_checkpoint(), tmp_path / "bundle", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["no/such/folder/here", "nothing"])
def test_a_source_that_is_nowhere(tmp_path: Path, source: str) -> None:
    with pytest.raises(Error, match="neither a folder nor a hub id"):
        export_model(source, tmp_path / "bundle")


def test_default_variants_follow_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strizh.kernels.library_path", lambda: None)
    assert default_variants() == ("portable-fp32",)
    monkeypatch.setattr("strizh.kernels.library_path", lambda: Path("library"))
    assert default_variants() == ("portable-fp32", "cpu-bf16")


def test_lower_case_of_the_modules_is_in_the_tokenizer(
    make_checkpoint: MakeCheckpoint, add_modules: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_checkpoint()
    add_modules(folder, {"pooling_mode_mean_tokens": True})
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 30, "do_lower_case": True}))
    export_model(folder, tmp_path / "bundle", variants=PADDED[:1])
    with strizh.load(tmp_path / "bundle") as encoder:
        loud, quiet = encoder.tokenize(["СТРИЖ ЛЕТИТ", "стриж летит"]).input_ids.reshape(2, -1)
    np.testing.assert_array_equal(loud, quiet)
    assert json.loads((tmp_path / "bundle/sentence_bert_config.json").read_text())["do_lower_case"] is False


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hidden_size": "24"}, r'has hidden_size "24"; expected a whole number'),
        ({"max_position_embeddings": None}, "has max_position_embeddings null; expected a whole number"),
        ({"layer_norm_eps": "small"}, 'has layer_norm_eps "small"; expected a number'),
        ({"rope_theta": [1]}, r"has rope_theta \[1\]; expected a number"),
        ({"rope_scaling": "dynamic"}, 'has rope_scaling "dynamic"; expected an object'),
        ({"rope_scaling": {"factor": -1}}, ": rope_scaling has factor -1; expected a number above 0"),
        ({"rope_scaling": {"type": "linear", "factor": "two"}}, 'rope_scaling has factor "two"; expected a number'),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling has no factor; expected a number above 1"),
        ({"auto_map": ["RoPEBert"]}, "has auto_map .*; expected an object"),
        ({"num_attention_heads": 8}, "the heads have 3 numbers"),
        ({"num_attention_heads": 5}, "has hidden_size 24; expected a multiple of num_attention_heads 5"),
        (
            {"num_hidden_layers": 2_000_000_000},
            "has num_hidden_layers 2000000000; expected a whole number from 1 to 10000",
        ),
        ({"type_vocab_size": "x"} | CLASSIFIER, 'has type_vocab_size "x"; expected a whole number'),
        ({"id2label": 3} | CLASSIFIER, "has id2label 3; expected an object"),
    ],
    ids=str,
)
def test_a_config_that_makes_no_sense_is_one_clear_error(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, config: dict[str, object], said: str
) -> None:
    folder = make_checkpoint()
    with pytest.raises(CheckpointError, match=said) as caught:
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(settings | config))
        export_model(folder, tmp_path / "bundle", variants=PADDED, verify=False)
    assert "\n" not in str(caught.value)
    assert "config.json" in str(caught.value)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"recipe": "vnni"}, "--recipe is for portable-int8"),
        ({"quality_floor": 0.999}, "--quality-floor is for an int8 variant"),
        ({"calibration": Path("texts.jsonl")}, "--calibration is for an int8 variant or portable-fp16"),
    ],
)
def test_a_wish_that_no_variant_can_follow_is_refused(tmp_path: Path, wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export_model("nowhere", tmp_path / "bundle", variants=PADDED, quantizing=Quantizing(**wishes))


def test_a_limit_that_leaves_no_room_for_a_text_is_refused(make_checkpoint: MakeCheckpoint) -> None:
    with pytest.raises(UsageError, match="max_length is 2; expected at least 3, for 2 special tokens and a text"):
        planned(make_checkpoint(), max_length=2)


def test_the_folder_that_one_stands_in_is_not_taken_from_under_him(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    folder = make_checkpoint()
    monkeypatch.chdir(here)
    for output in (".", "", "..", here):
        with pytest.raises(UsageError, match="is the folder that this runs in, or holds it"):
            export_model(folder, output)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made: Not a directory"):
        export_model(folder, tmp_path / "file/bundle")
