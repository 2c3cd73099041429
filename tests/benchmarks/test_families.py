"""The suite of families on small shapes, and its table in the README."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from benchmarks import published, report, results, run
from benchmarks.published import PUBLISHED
from strizh.kernels import library_path

TINY = {"num_hidden_layers": 1, "hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 64}
SMALL_T5 = {"d_model": 48, "num_layers": 1, "d_ff": 64, "num_heads": 2}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("result") / "families.json"
    whole = dict(PUBLISHED)
    try:
        shapes = {"LaBSE-en-ru": TINY, "mdeberta-v3-base": TINY, "FRIDA": SMALL_T5, "nomic-embed-text": TINY}
        for name, small in shapes.items():
            PUBLISHED[name] = dataclasses.replace(whole[name], config=whole[name].config | small)
        command = [
            "families",
            "--models",
            ",".join(shapes),
            "--engines",
            "*-fp32",
            "--json",
            str(path),
        ]
        assert run.main(command) == 0
    finally:
        PUBLISHED.update(whole)
    return results.read(path)


def test_every_variant_asked_for_has_its_parity_and_size(result: dict[str, Any]) -> None:
    rows = {(row["model"], row["variant"]): row for row in result["rows"]}
    for model in result["models"]:
        for variant in ("portable-fp32", "ort-fp32"):
            row = rows[model, variant]
            assert row["parity"]["cosine_min"] >= 0.999999
            assert row["parity"]["against"] == "transformers"
            # A float32 graph holds every parameter once; T5's bias is a row for each distance besides, and
            # mDeBERTa's distances are what each layer makes of them.
            assert row["bytes"] >= 4 * result["models"][model]["parameters"]
        assert not any(name.endswith(("bf16", "int8")) for _, name in rows)


@pytest.mark.skipif(library_path() is None, reason="the kernels were not built, so that there is one int8 variant only")
def test_of_int8_variants_those_that_a_family_has_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LaBSE-en-ru", "mdeberta-v3-base"):
        small = PUBLISHED[name].config | TINY
        monkeypatch.setitem(PUBLISHED, name, dataclasses.replace(PUBLISHED[name], config=small))
    path = tmp_path / "families.json"
    # So few numbers a row may miss the promise, which is status 1.
    run.main(["families", "--models", "LaBSE-en-ru,mdeberta-v3-base", "--engines", "*-int8", "--json", str(path)])
    result = results.read(path)
    found = {(row["model"], row["variant"]) for row in result["rows"]}
    assert found == {
        ("LaBSE-en-ru", "portable-int8"), ("LaBSE-en-ru", "cpu-int8"), ("mdeberta-v3-base", "portable-int8")
    }  # fmt: skip
    absent = [(one["model"], one["contender"]) for one in result["absent"] if one["model"] != "every"]
    assert absent == [("mdeberta-v3-base", "cpu-int8")]


def test_the_readme_has_a_line_for_each_shape(tmp_path: Path, result: dict[str, Any]) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    results.write(result, folder / "families-a.json")
    worse = [row for row in result["rows"] if row["variant"] == "ort-fp32" and row["model"] == "FRIDA"]
    worse = [row | {"variant": "cpu-bf16", "parity": row["parity"] | {"cosine_min": 0.5}} for row in worse]
    results.write(result | {"rows": worse}, folder / "families-b.json")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.FAMILIES_BEGIN}\nold\n{report.FAMILIES_END}\nafter\n")
    assert report.main([str(folder), "--readme", str(readme)]) == 0
    text = readme.read_text()
    labse, mdeberta, frida, _ = [line for line in text.splitlines() if line.startswith("| ") and "/" in line]
    assert labse.startswith("| BERT | cointegrated/LaBSE-en-ru, ")
    assert frida.count("1.000000, ") == 2 + ("cpu-fp32" in text)
    assert "**missed** 0.500000, " in frida
    assert mdeberta.count(" none |") == ("cpu-fp32" in text), "refused by the packed variants"
    assert "old" not in text


def test_a_shape_that_nobody_published_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["families", "--models", "word2vec"]) == 2
    assert "no published shape is named word2vec; there are ruRoPEBert-e5-base" in capsys.readouterr().err


def test_every_shape_names_its_checkpoints() -> None:
    names = [name for shape in published.PUBLISHED.values() for name in shape.names]
    assert len(names) == len(set(names))
    assert all(name.count("/") == 1 for name in names)
