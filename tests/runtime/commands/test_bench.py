"""`strizh bench` on the embedded checkpoint: quick, so its figures mean nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, processors

import strizh
from strizh.runtime.batching import PackedBatch
from strizh.runtime.commands import bench
from strizh.runtime.errors import DeviceError
from strizh.runtime.measuring import cases, cosine_min
from strizh.runtime.sessions.session import Session

Command = Callable[..., tuple[int, str, str]]
QUICK = ("--seconds", "0.001", "--variants", "portable-fp32,ort-fp32", "--threads", "2")


def test_texts_have_the_lengths_that_the_table_states(exported: Path) -> None:
    with strizh.load(exported, "portable-fp32") as encoder:
        one, longer, mixed = cases(encoder)
        specials = encoder.tokenize("", prompt="").input_ids
    assert one.batch.lengths.tolist() == [16]
    assert longer.batch.lengths.tolist() == [128]
    assert len(mixed.batch) == 24
    assert mixed.batch.lengths.min() >= 4
    assert mixed.batch.lengths.max() <= 256
    for row in np.split(mixed.batch.input_ids, mixed.batch.cu_seqlens[1:-1]):
        assert [row[0], row[-1]] == specials.tolist()


@pytest.mark.parametrize(
    ("template", "opening", "closing"),
    [(None, [], []), ("$A </s>", [], [2]), ("<s> $A", [0], []), ("<s> <s> $A </s>", [0, 0], [2])],
)
def test_texts_have_what_the_tokenizer_puts_around_a_text_and_no_more(
    make_bundle: Callable[..., Path], tiny: Any, template: str | None, opening: list[int], closing: list[int]
) -> None:
    tokenizer = tiny.word_tokenizer(special_tokens=False)
    if template:
        specials = [("<s>", 0), ("</s>", 2)]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=specials)
    with strizh.load(make_bundle(tokenizer=tokenizer)) as encoder:
        found = cases(encoder)
    assert [case.batch.lengths.max() for case in found] == [tiny.MAX_LENGTH] * 3
    for row in (row for case in found for row in np.split(case.batch.input_ids, case.batch.cu_seqlens[1:-1])):
        body = row.tolist()[len(opening) : len(row) - len(closing)]
        assert row.tolist() == [*opening, *body, *closing]
        assert not {0, 1, 2} & set(body)


def test_a_tokenizer_that_knows_none_of_our_words_is_one_line(
    strizh: Command, make_bundle: Callable[..., Path], tiny: Any
) -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    status, out, _ = strizh("bench", make_bundle(tokenizer=tokenizer), *QUICK[:2], "--threads", "1")
    assert (status, "recommended: variant portable-fp32" in out) == (0, True), (
        "what it does not know is a token as well"
    )
    deaf = Tokenizer(models.BPE({}, []))
    status, out, err = strizh("bench", make_bundle(tokenizer=deaf), *QUICK[:2], "--threads", "1")
    assert (status, out) == (2, "")
    assert "the tokenizer makes no token of Russian or English words" in err.splitlines()[-1]


def test_every_variant_gets_its_speed_and_its_parity(strizh: Command, exported: Path) -> None:
    status, out, _ = strizh("bench", exported, *QUICK, "--json")
    assert status == 0
    report = json.loads(out)
    assert [row["variant"] for row in report["variants"]] == ["portable-fp32", "ort-fp32"]
    for row in report["variants"]:
        assert row["cosine_min"] >= 0.999999
        assert min(row["milliseconds_16"], row["milliseconds_128"], row["tokens_per_second"]) > 0
    assert report["recommended"]["variant"] in ("portable-fp32", "ort-fp32")


@pytest.mark.parametrize("reach", [2, 16])
def test_a_case_that_a_variant_refuses_is_not_measured_and_stops_nothing(
    strizh: Command, exported: Path, monkeypatch: pytest.MonkeyPatch, reach: int
) -> None:
    run = Session.run

    def refuse(self: Session, batch: PackedBatch, *rest: Any, **options: Any) -> Any:
        if self._variant == "ort-fp32" and batch.lengths.max() > reach:
            raise DeviceError(f"its engines take up to {reach}")
        return run(self, batch, *rest, **options)

    monkeypatch.setattr(Session, "run", refuse)
    monkeypatch.setattr(bench, "_settings", lambda *call: (2, 8192))  # threads and batches have their own tests
    status, out, err = strizh("bench", exported, *QUICK, "--json")
    assert status == 0
    report = json.loads(out)
    whole, partial = report["variants"]
    assert None not in whole.values() and report["recommended"]["variant"] == whole["variant"] == "portable-fp32"
    assert (partial["milliseconds_16"] is None) == (reach < 16)
    assert partial["milliseconds_128"] is partial["tokens_per_second"] is partial["cosine_min"] is None
    refused = ["1 x 16", "1 x 128", "24 mixed"][1 if reach == 16 else 0 :]
    assert report["not_measured"] == [f"ort-fp32 on {case}: its engines take up to {reach}" for case in refused]
    assert f"not measured: {report['not_measured'][-1]}" in err
    (line,) = (line for line in strizh("bench", exported, *QUICK)[1].splitlines() if line.startswith("ort-fp32"))
    assert line.split()[2:] == ["-"] * 4
    status, _, err = strizh("bench", exported, "--variants", "ort-fp32", "--seconds", "0.001")
    assert status == 2 and "no variant of this bundle runs texts of mixed lengths here: ort-fp32 on" in err


def test_the_recommendation_can_be_loaded(strizh: Command, exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "tuning.json"
    status, out, err = strizh("bench", exported, *QUICK, "--save-tuning", file)
    assert status == 0
    assert "recommended: variant" in out
    assert f"for strizh.load({str(exported)!r}, tuning={str(file)!r})" in err
    from strizh.runtime.encoder import load

    with load(exported, tuning=file) as encoder:
        assert encoder.variant in out
        assert encoder.threads == 2
        first, *others, _ = encoder.explain().splitlines()
        assert first == f"{encoder.variant}: it was asked for, by variant= or by a tuning"
        assert others
        assert all(line.endswith(": it was not asked for") for line in others)


@pytest.mark.parametrize(("slowest", "says"), [(90.0, False), (70.0, True)])
def test_turns_that_differ_much_are_told_of(slowest: float, says: bool) -> None:
    row = {"variant": "cpu-bf16", "tokens_per_second_range": [slowest, 100.0]}
    lines = bench._doubts(row)
    assert bool(lines) == says
    assert not says or "turns of cpu-bf16 differ by 43%" in lines[0]


def test_a_variant_too_far_from_the_model_is_not_recommended(strizh: Command, exported: Path) -> None:
    status, _, err = strizh("bench", exported, *QUICK, "--least-cosine", 1.5)
    assert status == 2
    assert "no variant keeps a cosine of 1.5: the closest, " in err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--seconds", 0), "--seconds is 0, expected a finite number above 0"),
        (("--least-cosine", "nan"), "--least-cosine is nan, expected a number such as 0.999"),
        (("--seconds", "nan"), "--seconds is nan, expected a finite number above 0"),
        (("--seconds", "inf"), "--seconds is inf, expected a finite number above 0"),
        (("--save-tuning", "no/such/folder/tuning.json"), "its folder does not exist; make it first"),
        (("--save-tuning", "."), "--save-tuning . is a folder; give the name of a file"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_measured(
    strizh: Command, exported: Path, options: tuple[str, float], line: str
) -> None:
    status, out, err = strizh("bench", exported, *options)
    assert (status, out) == (2, "")
    assert line in err


def test_an_unknown_variant_is_one_line(strizh: Command, exported: Path) -> None:
    status, _, err = strizh("bench", exported, "--variants", "cpu-fp8")
    assert status == 2
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("angle", [0.0, 1e-3, 0.5])
def test_cosine_of_vectors_of_any_length(angle: float) -> None:
    exact = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
    turned = np.array([[3 * np.cos(angle), 3 * np.sin(angle)], [0.0, 1.0]], np.float32)
    assert cosine_min(turned, exact) == pytest.approx(np.cos(angle), abs=1e-6)
