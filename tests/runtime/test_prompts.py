"""Prompts are resolved as sentence-transformers resolves them."""

import pytest

from strizh.runtime.errors import UsageError
from strizh.runtime.prompts import resolve_prompt

PROMPTS = {"query": "query: ", "passage": "passage: ", "none": ""}


@pytest.mark.parametrize(
    ("default", "prompt", "name", "wanted"),
    [
        (None, None, None, ""),
        ("query", None, None, "query: "),
        ("query", "", None, ""),
        ("query", "Q: ", None, "Q: "),
        ("query", "Q: ", "passage", "Q: "),
        ("query", "Q: ", "unknown", "Q: "),
        ("query", None, "passage", "passage: "),
        ("query", None, "none", ""),
        (None, None, "query", "query: "),
    ],
)
def test_the_text_wins_then_the_name_then_the_default(
    default: str | None, prompt: str | None, name: str | None, wanted: str
) -> None:
    assert resolve_prompt(PROMPTS, default, prompt=prompt, prompt_name=name) == wanted


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'Query', this bundle has 'query', 'passage', 'none'"):
        resolve_prompt(PROMPTS, None, prompt=None, prompt_name="Query")
    with pytest.raises(UsageError, match="this bundle has none"):
        resolve_prompt({}, None, prompt=None, prompt_name="query")
