"""`strizh verify`: what it measures, what it catches, what it stores."""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from strizh import kernels
from strizh.export import export_model, instruction_sets
from strizh.export.commands import verify as command
from strizh.export.parity import parity_texts
from strizh.export.recipes import CPU_INT8, Promise, promise_of
from strizh.export.verify import lengths, sentences_of, texts_of
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import BundleError, DeviceError, UsageError
from strizh.runtime.manifest import MANIFEST, TOKENIZER, File, read_manifest
from strizh.runtime.sessions.session import Session

MakeCheckpoint = Callable[..., Path]


def verify(bundle: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(bundle), *arguments]))


@pytest.fixture
def bundle(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Path:
    folder = make_checkpoint()
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "the swift "}}')
    variants = ["portable-fp32", "ort-fp32"]
    export_model(folder, tmp_path / "bundle", variants=variants, rope_scaling="dynamic:2.0", verify=False)
    return tmp_path / "bundle"


def test_lengths_cover_the_boundary_and_the_limit(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    found = lengths(manifest)
    assert {1, 31, 32, 33, 64} <= set(found)
    assert max(found) == manifest.max_length == 64
    assert [len(text) for text in texts_of(bundle, found)] == found


def test_languages_that_the_tokenizer_spells_are_not_measured(tmp_path: Path) -> None:
    """A WordPiece of English words and single letters, as MiniLM's is, reads Russian letter by letter."""
    pieces = pre_tokenizers.BertPreTokenizer()
    words = {word for text in parity_texts() for word, _ in pieces.pre_tokenize_str(text)}
    letters = {letter for word in words for letter in word}
    names = ["[UNK]", *sorted({word for word in words if word.isascii()} | letters | {f"##{x}" for x in letters})]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pieces
    tokenizer.save(str(tmp_path / TOKENIZER))
    sentences = sentences_of(tmp_path, 100)
    assert 0 < len(sentences) < len(parity_texts())
    assert [len(text) for text in texts_of(tmp_path, [7, 40])] == [7, 40]
    long_russian = {letter for letter in letters if "а" <= letter <= "я"}
    spelled = {vocabulary[f"##{letter}"] for letter in long_russian}
    assert max(len(spelled & set(text)) for text in sentences) <= 3, "a Russian text of one word may stay"


@pytest.mark.parametrize("against", [False, True], ids=["own-float32", "pytorch"])
def test_a_good_bundle_passes_and_keeps_the_report(
    bundle: Path, capsys: pytest.CaptureFixture[str], against: bool
) -> None:
    if against:
        pytest.importorskip("torch")
    assert verify(bundle, *(["--against", str(bundle.parent / "checkpoint")] if against else [])) == 0
    stored = read_manifest(bundle).parity["ort-fp32"]["grid"]
    assert stored["against"] == ("PyTorch float32" if against else "portable-fp32")
    assert stored["cosine_min"] >= 0.999999
    assert stored["cosine_min"] <= stored["cosine_p1"] <= stored["cosine_mean"]
    assert stored["rank_agreement"] > 0.99, "float32 rounds no neighbour of 64 sentences away, but for ties"
    assert stored["prompts"] == ["query"]
    assert "every SHA-256 right" in capsys.readouterr().out


def test_a_wrong_graph_is_caught(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = bundle / "onnx/model_ort.onnx"
    model = onnx.load(path)
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "embeddings.word")
    table.raw_data = (np.frombuffer(table.raw_data, np.float32) * 1.05).astype(np.float32).tobytes()
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "layers.0.mlp.up.bias")
    bias.raw_data = (np.frombuffer(bias.raw_data, np.float32) + 0.3).tobytes()
    onnx.save(model, path)
    manifest = read_manifest(bundle)
    manifest.files["onnx/model_ort.onnx"] = File.of(path)
    (bundle / MANIFEST).write_text(manifest.to_json())
    assert verify(bundle) == 1
    assert "MISSED" in capsys.readouterr().out


def test_a_changed_file_is_caught_before_anything_runs(bundle: Path) -> None:
    path = bundle / "config.json"
    path.write_text(path.read_text().replace("24", "42"))
    with pytest.raises(BundleError, match=r"config\.json is not the file that was exported"):
        verify(bundle)


def test_packed_variants_are_checked_on_every_instruction_set(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = kernels.instruction_sets() if kernels.library_path() else ()
    if not names:
        pytest.skip("the kernels were not built")
    export_model(make_checkpoint(), tmp_path / "bundle", variants=["portable-fp32", "cpu-bf16"])
    assert verify(tmp_path / "bundle") == 0
    grid = read_manifest(tmp_path / "bundle").parity["cpu-bf16"]["grid"]
    found = grid["cosine_by_instruction_set"]
    assert tuple(found) == names
    assert min(found.values()) >= 0.9998
    assert grid["same_bits"] == (grid["between_instruction_sets"] == 1) == ("amx" not in names)
    assert ("between any two of them the same bits" in capsys.readouterr().out) == grid["same_bits"]


def test_sets_that_give_other_vectors_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = {"one": [1.0, 0.0], "two": [1.0, 0.0], "amx_emulated": [0.8, 0.6]}
    monkeypatch.setattr(kernels, "instruction_sets", lambda: ("one", "two"))
    monkeypatch.setattr(instruction_sets, "run_on", lambda name, *rest: np.full((2, 1, 2), vectors[name], np.float32))
    alike = instruction_sets.on_instruction_sets(tmp_path, "cpu-int8", [[1]], None, emulate_amx=False)
    assert alike["same_bits"] and alike["between_instruction_sets"] == 1
    apart = instruction_sets.on_instruction_sets(tmp_path, "cpu-int8", [[1]], None, emulate_amx=True)
    assert not apart["same_bits"]
    assert apart["between_instruction_sets"] == pytest.approx(0.8)
    assert list(apart["cosine_by_instruction_set"]) == ["one", "two", "amx_emulated"]


@pytest.mark.parametrize("named", [False, True], ids=["all", "by name"])
def test_lengths_that_a_variant_refuses_are_reported_and_the_others_checked(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    refuse_beyond(16, monkeypatch)
    assert verify(bundle, *(["--variants", "ort-fp32"] if named else [])) == 0
    assert "REFUSED     17, 31, 32, 33, 63, 64 tokens: its engines take up to 16" in capsys.readouterr().out
    grid = read_manifest(bundle).parity["ort-fp32"]["grid"]
    assert list(grid["refused"]) == ["17", "31", "32", "33", "63", "64"]
    assert max(map(int, grid["cosine_by_length"])) == 16 and grid["cosine_min"] >= 0.999999
    assert named or "refused" not in read_manifest(bundle).parity["portable-fp32"]["grid"]


def test_a_variant_that_refuses_every_length_is_not_checked_unless_it_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_beyond(0, monkeypatch)
    assert verify(bundle) == 0
    line = "variant ort-fp32 runs no text here: its engines take up to 0"
    assert f"ort-fp32: not checked: {line}" in capsys.readouterr().err
    parity = read_manifest(bundle).parity
    assert "grid" in parity["portable-fp32"] and "grid" not in parity.get("ort-fp32", {})
    with pytest.raises(DeviceError, match=line):
        verify(bundle, "--variants", "ort-fp32")


def refuse_beyond(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if ort-fp32 ran on engines for texts of up to so many tokens."""
    run = Session.run

    def refuse(self: Session, batch: PackedBatch, *rest: Any, **options: Any) -> Any:
        if self._variant == "ort-fp32" and batch.lengths.max() > most:
            raise DeviceError(f"its engines take up to {most}")
        return run(self, batch, *rest, **options)

    monkeypatch.setattr(Session, "run", refuse)


def test_a_variant_that_the_bundle_lacks_is_named_with_those_it_has(bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"'cpu-fp64' is not in this bundle; it has portable-fp32, ort-fp32"):
        verify(bundle, "--variants", "cpu-fp64")


@pytest.mark.parametrize("promise", ["high", {"cosine_min": "high", "cosine_mean": 1.0}, {"cosine": 1.0}, [0.9, 0.9]])
def test_a_promise_that_is_none_is_one_line(promise: object) -> None:
    with pytest.raises(BundleError, match=r"the details of cpu-int8 hold no promise but .*Export the bundle again"):
        promise_of("cpu-int8", {"promise": promise})
    assert promise_of("cpu-int8", {"promise": None}) == promise_of("cpu-int8", {}) == CPU_INT8.promise
    kept = Promise(0.9, 0.95)
    assert promise_of("cpu-int8", {"promise": dataclasses.asdict(kept)}) == kept
