"""The command line of `strizh export`: what its words become."""

import argparse
from typing import Any

import pytest

from strizh.export import exporter
from strizh.export.commands import export
from strizh.runtime.errors import UsageError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `export_model` is called with; it stops there."""
    found: dict[str, Any] = {}

    def stop(*_: object, **options: object) -> None:
        found.update(options)
        raise UsageError("stopped")

    monkeypatch.setattr(exporter, "export_model", stop)
    return found


def run(*words: str) -> None:
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    with pytest.raises(UsageError, match="stopped"):
        export.run(parser.parse_args(["checkpoint", "--output", "bundle", *words]))


def test_lists_are_split_at_commas(asked: dict[str, Any]) -> None:
    run("--variants", "portable-fp32, cpu-bf16", "--keep-languages", "ru,texts.jsonl")
    assert asked["variants"] == ["portable-fp32", "cpu-bf16"]
    assert asked["keep_languages"] == ["ru", "texts.jsonl"]


def test_nothing_asked_is_everything_by_default(asked: dict[str, Any]) -> None:
    run()
    assert asked["variants"] is None and not asked["keep_languages"]


def test_an_empty_list_is_not_taken_for_none(asked: dict[str, Any]) -> None:
    run("--variants", "", "--keep-languages", "")
    assert asked["variants"] == [""] and asked["keep_languages"] == [""], "names that are refused as unknown"
