"""Names on the command line: whatever matches nothing is said at once, in one line."""

from pathlib import Path

import pytest

from benchmarks import names, run, suites
from benchmarks.errors import UnknownName

CHECKPOINT = Path(__file__).resolve().parents[1] / "data" / "rope-e5-tiny-ru"


def test_patterns_keep_the_order_of_what_there_is() -> None:
    there = ["swift", "swallow", "martin"]
    assert names.choose("bird", ["martin", "sw*"], there, lambda one: (one,)) == there
    assert names.choose("bird", [], there, lambda one: (one,)) == there
    assert names.choose("bird", ["a bird, sw*low"], there, lambda one: (one, f"a bird, {one}")) == ["swallow"]


def test_each_pattern_that_matches_nothing_is_named_with_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"^no bird is named eagle or owl\*; there are swift, martin$"):
        names.choose("bird", ["swift", "eagle", "owl*"], ["swift", "martin"], lambda one: (one,))


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """The one line that a command is answered with."""
    assert run.main(list(command)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize("suite", [name for name in suites.names() if "cases" in suites.load(name).HEEDS])
def test_a_case_that_no_suite_has_is_refused(suite: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "stsb.jsonl").write_text('{"text": "стриж", "text2": "птица", "score": 4}\n' * 3)
    texts = ["--texts", str(tmp_path)] if suite == "quality" else []
    line = refused(capsys, suite, "--models", str(CHECKPOINT), "--cases", "no such case", *texts)
    assert "no such case" in line
    assert " no case is named no such case; there are 1" in line or suite == "quality"


@pytest.mark.parametrize("suite", [name for name in suites.names() if "engines" in suites.load(name).HEEDS])
def test_an_engine_that_nothing_is_named_after_is_refused(
    suite: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "stsb.jsonl").write_text('{"text": "стриж", "text2": "птица", "score": 4}\n' * 3)
    texts = ["--texts", str(tmp_path)] if suite == "quality" else []
    models = ["--models", "LaBSE-en-ru" if suite == "families" else str(CHECKPOINT)]
    line = refused(capsys, suite, *models, "--engines", "strizh cpu-*,cpu-*,no such engine", *texts)
    assert "no such engine; there are" in line


@pytest.mark.parametrize("suite", suites.names())
def test_a_model_that_is_nowhere_is_refused(suite: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "stsb.jsonl").write_text('{"text": "стриж", "text2": "птица", "score": 4}\n' * 3)
    texts = ["--texts", str(tmp_path)] if suite == "quality" else []
    assert "no such model" in refused(capsys, suite, "--models", "no such model", *texts)


@pytest.mark.parametrize("suite", suites.names())
def test_an_option_that_means_nothing_to_the_suite_is_refused(
    suite: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = {
        "engines": "strizh*",
        "cases": "1x16",
        "texts": str(tmp_path),
        "column": "en",
        "settled": "a.json",
        "batches": "3",
    }
    for option in set(suites.OPTIONS) - set(suites.load(suite).HEEDS):
        line = refused(capsys, suite, f"--{option}", given[option])
        assert f"{suite} has no use for --{option}" in line


@pytest.mark.parametrize("suite", ["latency", "parity", "throughput"])
def test_engines_of_texts_alone_cannot_be_asked_for_token_ids(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    cases = ["--cases", "1x16"] if suite != "parity" else []
    line = refused(capsys, suite, "--models", str(CHECKPOINT), "--engines", "transformers.js*", *cases)
    assert "transformers.js fp32: texts only" in line


def test_a_mistake_of_the_harness_shows_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: suites.Settings) -> None:
        raise FileNotFoundError("a file that the code should have written")

    monkeypatch.setattr(suites.load("latency"), "run", broken)
    with pytest.raises(FileNotFoundError):
        run.main(["latency"])
