"""`strizh evaluate` from a folder of rows to the table, the JSON and the manifest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strizh.export.evaluate.run import prompts_for
from strizh.export.exporter import export_model
from strizh.runtime.batching import PackedBatch
from strizh.runtime.cli import main
from strizh.runtime.errors import DeviceError
from strizh.runtime.manifest import Manifest, read_manifest
from strizh.runtime.sessions.session import Session

WORDS = (
    "стриж летит",
    "над рекой",
    "и не спит",
    "ночь",
    "вода",
    "огонь",
    "the swift",
    "flies over",
    "river never sleeps",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [{"text": a, "text2": b, "score": (i * j) % 5} for i, a in enumerate(WORDS) for j, b in enumerate(WORDS)]
    (folder / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def bundle(tmp_path: Path, make_checkpoint: Callable[..., Path]) -> Path:
    folder = tmp_path / "bundle"
    export_model(make_checkpoint(), folder, variants=["portable-fp32", "ort-fp32"])
    return folder


def test_variants_beside_the_bundles_own_float32(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(bundle), "--data", str(data), "--json", "--store"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert list(results) == ["portable-fp32", "ort-fp32"]
    assert results["ort-fp32"]["baseline"] == "portable-fp32"
    assert results["ort-fp32"]["cosine_min"] > 0.99999
    figure = results["ort-fp32"]["tasks"]["pairs"]["spearman"]
    assert figure["low"] <= figure["delta"] <= figure["high"]
    assert abs(figure["delta"]) < 0.01
    stored = read_manifest(bundle).parity["ort-fp32"]
    assert stored["evaluation"] == results["ort-fp32"]
    assert stored["cosine_min"] > 0.99999, "the export's own parity stays beside it"


def test_a_variant_that_refuses_a_text_is_left_out_unless_it_is_named(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Session.run

    def refuse(self: Session, batch: PackedBatch, *rest: Any, **options: Any) -> Any:
        if self._variant == "ort-fp32" and batch.lengths.max() > 2:
            raise DeviceError("its engines take up to 2")
        return run(self, batch, *rest, **options)

    monkeypatch.setattr(Session, "run", refuse)
    command = ["evaluate", str(bundle), "--data", str(data), "--json"]
    assert main(command) == 0
    page, said = capsys.readouterr()
    assert list(json.loads(page)) == ["portable-fp32"]
    assert said.splitlines() == [
        "portable-fp32 ...",
        "ort-fp32 ...",
        "ort-fp32: not measured: its engines take up to 2",
    ]
    assert main([*command, "--variants", "ort-fp32"]) == 2
    assert "its engines take up to 2" in capsys.readouterr().err


def test_beside_the_checkpoint_in_pytorch(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the baseline in PyTorch needs the extra 'trace'")
    command = ["evaluate", str(bundle), "--data", str(data), "--variants", "portable-fp32"]
    assert main([*command, "--baseline", str(tmp_path / "checkpoint")]) == 0
    page = capsys.readouterr().out
    assert "cosine to PyTorch float32: 1.000000 on average, 1.000000 at worst" in page
    assert "pairs  spearman" in page


def test_wrong_arguments_are_one_line(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(bundle), "--data", str(tmp_path)]) == 2
    assert main(["evaluate", str(bundle), "--data", str(tmp_path), "--limit", "1"]) == 2
    assert main(["evaluate", str(bundle), "--data", str(tmp_path), "--variants", "portable-fp32,x"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "variant 'x' is not in this bundle; it has portable-fp32" in said[2]
    assert "holds no .jsonl file with a task" in said[0]
    assert "expected at least 2 rows" in said[1]


def test_results_that_cannot_be_kept_are_shown_and_the_way_out_is_said(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system", str(bundle / ".strizh.json.partial-1"))

    monkeypatch.setattr("strizh.export.manifest.write_manifest", refuse)
    assert main(["evaluate", str(bundle), "--data", str(data), "--variants", "portable-fp32", "--store"]) == 2
    shown = capsys.readouterr()
    assert "pairs  spearman" in shown.out
    assert shown.err.splitlines()[-1] == (
        f"strizh: error: the results above are not kept: {bundle} cannot be written (Read-only file system). "
        "Copy the bundle to a place of yours, or leave --store out."
    )


def test_each_part_gets_the_prompt_that_the_bundle_has_for_it(bundle: Path) -> None:
    manifest = read_manifest(bundle)

    def prompts(named: dict[str, str], default: str | None = None, **said: str) -> dict[str, str]:
        fields = {field: getattr(manifest, field) for field in Manifest.__dataclass_fields__}
        return dict(prompts_for(Manifest(**fields | {"prompts": named, "default_prompt_name": default}), **said))

    e5 = {"query": "query: ", "passage": "passage: "}
    assert prompts({}) == {"query": "", "passage": "", "symmetric": ""}
    assert prompts(e5) == {"query": "query: ", "passage": "passage: ", "symmetric": "query: "}
    frida = {"paraphrase": "p: ", "search_query": "q: ", "search_document": "d: "}
    assert prompts(frida) == {"query": "q: ", "passage": "d: ", "symmetric": "p: "}
    assert prompts({"web": "w: "}, "web") == {"query": "w: ", "passage": "w: ", "symmetric": "w: "}
    assert prompts({}, query="query: ", passage="passage: ") == {**e5, "symmetric": "query: "}
