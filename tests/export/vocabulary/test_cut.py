"""`--keep-languages` from a checkpoint to vectors: what is left alone, what moves, what is refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import strizh
from strizh.export import export_model
from strizh.export.baseline import of_checkpoint
from strizh.export.checkpoint import read_checkpoint
from strizh.export.families import find_family
from strizh.export.options import Options, plan
from strizh.export.parity import parity_texts
from strizh.export.quantize.quantizer import Quantizing
from strizh.export.vocabulary import cut as module
from strizh.export.vocabulary.choose import cut_for
from strizh.export.vocabulary.report import summary
from strizh.kernels import library_path
from strizh.runtime.errors import CheckpointError, ParityError, UnsupportedModel, UsageError
from strizh.runtime.manifest import Manifest, Vocabulary

MakeCuttable = Callable[..., Path]
KINDS = ["unigram", "word-piece", "byte-level"]
VARIANTS = ["portable-fp32", "ort-fp32", *(["cpu-fp32", "cpu-bf16"] if library_path() else [])]
INT8 = ["portable-int8", *(["cpu-int8"] if library_path() else [])]
CORPUS = [text for text in parity_texts() if not text.isascii()]
OTHERS = [text for text in parity_texts() if text.isascii()]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A .jsonl of the texts that are not all English."""
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text, "id": 7}) + "\n" for text in CORPUS))
    return path


def whole_and_cut(folder: Path, keep: Path, variants: list[str], tmp_path: Path) -> tuple[Manifest, Manifest]:
    """Both bundles, int8 calibrated on the texts to keep, so that it sees the same in both."""
    quantizing = Quantizing(calibration=keep if set(INT8) & set(variants) else None)
    options = {"variants": variants, "quantizing": quantizing, "force": True}
    whole = export_model(folder, tmp_path / "whole", verify=False, **options)
    return whole, export_model(folder, tmp_path / "cut", keep_languages=[str(keep)], **options)


def size(manifest: Manifest, name: str) -> int:
    variant = manifest.variants[name]
    return sum(manifest.files[file].size for file in (variant.file, *variant.data))


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_kept_tokens_have_the_same_vectors(
    make_cuttable: MakeCuttable, corpus: Path, tmp_path: Path, kind: str
) -> None:
    variants = VARIANTS + INT8 * (kind == "unigram")
    whole, small = whole_and_cut(make_cuttable(kind), corpus, variants, tmp_path)
    assert small.spec["vocab_size"] == small.vocabulary.tokens < whole.spec["vocab_size"] == small.vocabulary.of
    for name in variants:
        with (
            strizh.load(tmp_path / "whole", variant=name) as before,
            strizh.load(tmp_path / "cut", variant=name) as after,
        ):
            # Bit by bit: the same rows of the table go through the same nodes.
            assert np.array_equal(before.encode(CORPUS), after.encode(CORPUS)), name
            assert not np.array_equal(before.encode(OTHERS), after.encode(OTHERS)), name
        assert size(small, name) < size(whole, name)


def test_every_file_of_the_bundle_has_the_new_ids(make_cuttable: MakeCuttable, corpus: Path, tmp_path: Path) -> None:
    folder = make_cuttable("word-piece")
    last = json.loads((folder / "config.json").read_text())["mask_token_id"]
    manifest = export_model(folder, tmp_path / "cut", variants=["portable-fp32"], keep_languages=[str(corpus)])
    config, settings = (
        json.loads((tmp_path / "cut" / name).read_text()) for name in ("config.json", "tokenizer_config.json")
    )
    assert config["vocab_size"] == manifest.vocabulary.tokens <= last
    assert config["mask_token_id"] == config["vocab_size"] - 1 and config["eos_token_id"] == 2
    assert list(settings["added_tokens_decoder"]) == [str(config["mask_token_id"])]


def test_transformers_reads_the_tokenizer_as_strizh_does(
    make_cuttable: MakeCuttable, corpus: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    for kind in KINDS:
        folder = make_cuttable(kind, name=kind)
        export_model(folder, tmp_path / f"{kind}-cut", variants=["portable-fp32"], keep_languages=[str(corpus)])
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / f"{kind}-cut")
        with strizh.load(tmp_path / f"{kind}-cut") as encoder:
            for text in ["Стриж <mask>.", *CORPUS[:4], *OTHERS[:4]]:
                assert theirs(text)["input_ids"] == encoder.tokenize(text).input_ids.tolist()


def test_positions_counted_from_the_pad_id_stay(make_cuttable: MakeCuttable, corpus: Path, tmp_path: Path) -> None:
    folder = make_cuttable("unigram", pad_token_id=40)  # far among ordinary tokens, most of which would go
    whole_and_cut(folder, corpus, ["portable-fp32"], tmp_path)
    with strizh.load(tmp_path / "whole") as before, strizh.load(tmp_path / "cut") as after:
        assert np.array_equal(before.encode(CORPUS), after.encode(CORPUS))


def test_silent_tokens_of_sparse_weights_are_renumbered(make_cuttable: MakeCuttable) -> None:
    checkpoint = read_checkpoint(make_cuttable("unigram"))
    planned = plan(checkpoint, find_family(checkpoint).describe(checkpoint), Options())
    silent = (0, 2, json.loads((checkpoint.folder / "config.json").read_text())["mask_token_id"])
    planned = dataclasses.replace(planned, spec=dataclasses.replace(planned.spec, sparse=silent))
    cut = cut_for(checkpoint, planned.spec, ["en"])
    assert cut.plan(planned).spec.sparse == (0, 2, len(cut.kept) - 1)


def test_a_language_keeps_its_letters_and_every_single_character(make_cuttable: MakeCuttable, tmp_path: Path) -> None:
    folder = make_cuttable("unigram")
    whole = export_model(folder, tmp_path / "whole", variants=["portable-fp32"], verify=False)
    small = export_model(folder, tmp_path / "cut", variants=["portable-fp32"], keep_languages=["RU"])
    assert small.vocabulary.kept_for == ("ru",) and small.vocabulary.tokens < whole.spec["vocab_size"]
    with strizh.load(tmp_path / "whole") as before, strizh.load(tmp_path / "cut") as after:
        russian, english = "Стриж летит над рекой и не спит, 24 часа.", "the swift"
        assert np.array_equal(before.encode(russian), after.encode(russian))
        spelled, unknown = (
            after.tokenize(english),
            json.loads((tmp_path / "cut/tokenizer.json").read_text())["model"]["unk_id"],
        )
        assert len(spelled.input_ids) > len(before.tokenize(english).input_ids) and unknown not in spelled.input_ids


def test_prompts_stay_behind_every_text(make_cuttable: MakeCuttable, tmp_path: Path) -> None:
    folder = make_cuttable("byte-level")
    prompts = {"query": "the swift flies", "task": "Instruct: fly"}  # no blank at the end: a text goes on with the word
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    (tmp_path / "texts.txt").write_text("er\nнад рекой\n\n")
    whole_and_cut(folder, tmp_path / "texts.txt", ["portable-fp32"], tmp_path)
    with strizh.load(tmp_path / "whole") as before, strizh.load(tmp_path / "cut") as after:
        for prompt in prompts:
            pair = (encoder.encode(["er", "над рекой"], prompt_name=prompt) for encoder in (before, after))
            assert np.array_equal(*pair), prompt


def test_the_report_says_what_changes(make_cuttable: MakeCuttable, corpus: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(make_cuttable("unigram"))
    spec = find_family(checkpoint).describe(checkpoint)
    report = cut_for(checkpoint, spec, [str(corpus)]).report
    assert report.kept_for == ("texts.jsonl",) and 0 < report.changed < 0.5
    assert f"{report.changed:.2%} of the tokens change in every tenth of the {len(CORPUS)} texts" in summary(report)
    alike = tmp_path / "alike.txt"
    alike.write_text("стриж летит\n" * 30)
    assert cut_for(checkpoint, spec, [str(alike)]).report.changed == 0
    both = cut_for(checkpoint, spec, ["ru", "en"]).report
    assert both.changed < 0.01, "our sentences are Russian and English"
    assert cut_for(checkpoint, spec, ["th"]).report.changed is None, "none of our sentences is Thai"


def test_verify_compares_with_the_whole_checkpoint(make_cuttable: MakeCuttable, corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = make_cuttable("unigram")
    manifest = export_model(folder, tmp_path / "cut", variants=["portable-fp32"], keep_languages=[str(corpus)])
    assert manifest.parity["portable-fp32"]["against"] == "the spec in NumPy float64, vocabulary whole"
    against, vectors, _ = of_checkpoint(str(folder), tmp_path / "cut", manifest)
    with strizh.load(tmp_path / "cut") as encoder:
        ids = encoder.tokenize(OTHERS[0]).input_ids.tolist()
        expected = vectors([ids])[0]
        # Two small layers of float32: a few hundred roundings of 6e-8.
        np.testing.assert_allclose(encoder.encode(OTHERS[0]), expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    assert against == "PyTorch float32, vocabulary whole"
    with pytest.raises(UsageError, match="was cut from another one"):
        of_checkpoint(str(make_cuttable("byte-level", name="other")), tmp_path / "cut", manifest)


def test_a_wrong_row_is_caught_before_the_bundle_appears(
    make_cuttable: MakeCuttable, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shifted(module.CutWeights):
        def __getitem__(self, slot: str) -> module.Array:
            return np.roll(super().__getitem__(slot), slot == "embeddings.word", axis=0)

    monkeypatch.setattr(module, "CutWeights", Shifted)
    with pytest.raises(ParityError):
        export_model(
            make_cuttable("unigram"), tmp_path / "cut", variants=["portable-fp32"], keep_languages=[str(corpus)]
        )
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (["ru", "tlh"], "'tlh' is no language that strizh knows the letters of: it knows ar, az"),
        ([""], "'' is no language"),
        (["ru", "nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["{}/blank.txt"], "blank.txt holds no text"),
        (["{}/broken.jsonl"], "broken.jsonl, line 2: not JSON"),
    ],
)
def test_bad_input_is_one_line(make_cuttable: MakeCuttable, tmp_path: Path, keep: list[str], message: str) -> None:
    (tmp_path / "blank.txt").write_text("\n  \n")
    (tmp_path / "broken.jsonl").write_text('"стриж"\n{\n')
    with pytest.raises(UsageError, match=message) as caught:
        export_model(
            make_cuttable("unigram"), tmp_path / "cut", keep_languages=[item.format(tmp_path) for item in keep]
        )
    assert "\n" not in str(caught.value) and not (tmp_path / "cut").exists()


def test_a_vocabulary_of_whole_words_and_a_trace_are_not_cut(make_checkpoint: MakeCuttable, tmp_path: Path) -> None:
    folder = make_checkpoint()
    with pytest.raises(UnsupportedModel, match="of kind 'WordLevel'"):
        export_model(folder, tmp_path / "cut", keep_languages=["ru"])
    with pytest.raises(UsageError, match="not for --method trace"):
        export_model(folder, tmp_path / "cut", keep_languages=["ru"], method="trace")


def test_settings_of_a_tokenizer_that_number_no_token_stay_or_are_refused() -> None:
    cut = module.Cut(np.array([0, 3]), "", Vocabulary((), 2, 4, None, ""))
    numbers = {"pad_token_id": 3, "bos_token_id": {"a": 1}, "forced_token_id": [0, 1, "x"], "other": "y"}
    tokens = {"3": {"content": "x"}, "1": {"content": "gone"}, "x": {}}
    assert cut._settings(numbers | {"added_tokens_decoder": tokens}) == {
        "pad_token_id": 1, "bos_token_id": None, "forced_token_id": [0, None, None], "other": "y",
        "added_tokens_decoder": {"1": {"content": "x"}},
    }  # fmt: skip
    with pytest.raises(
        CheckpointError, match=r"tokenizer_config\.json has added_tokens_decoder \[1\]; expected an object"
    ):
        cut._settings({"added_tokens_decoder": [1]})
