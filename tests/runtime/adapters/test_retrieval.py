"""Prompts of queries and documents, which every adapter takes from the bundle; and adapters without their framework."""

import importlib
import sys

import numpy as np
import pytest

from strizh.runtime.adapters.retrieval import RetrievalEncoder
from strizh.runtime.encoder import load
from strizh.runtime.errors import MissingExtra, UsageError

TEXTS = ["стриж летит", "the swift flies"]
FRAMEWORKS = {
    "langchain": "langchain_core.embeddings",
    "llama_index": "llama_index.core.base.embeddings.base",
    "haystack": "haystack",
    "scikit_learn": "sklearn.base",
    "mteb": "mteb.models.abs_encoder",
}


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({"query": "a ", "passage": "b "}, "a ", "b "),
        ({"search_query": "a ", "search_document": "b ", "paraphrase": "c "}, "a ", "b "),
        ({"query": "a ", "document": "b ", "passage": "c "}, "a ", "b "),
        ({"paraphrase": "c "}, "", ""),
    ],
)
def test_prompts_are_found_by_the_names_that_models_use(make_bundle, prompts, query, document):
    encoder = RetrievalEncoder(make_bundle(prompts=prompts))
    plain = encoder.encoder
    np.testing.assert_array_equal(encoder.queries(TEXTS), plain.encode(TEXTS, prompt=query))
    np.testing.assert_array_equal(encoder.documents(TEXTS), plain.encode(TEXTS, prompt=document))


def test_a_prompt_that_is_named_wins(make_bundle):
    bundle = make_bundle(prompts={"query": "a ", "passage": "b ", "paraphrase": "c "})
    encoder = RetrievalEncoder(bundle, query_prompt_name="paraphrase", document_prompt_name="query")
    np.testing.assert_array_equal(encoder.queries(TEXTS), load(bundle).encode(TEXTS, prompt="c "))
    np.testing.assert_array_equal(encoder.documents(TEXTS), load(bundle).encode(TEXTS, prompt="a "))


def test_without_such_names_the_default_prompt_is_used(make_bundle):
    encoder = RetrievalEncoder(make_bundle(prompts={"paraphrase": "c "}, default_prompt_name="paraphrase"))
    np.testing.assert_array_equal(encoder.queries(TEXTS), encoder.encoder.encode(TEXTS, prompt="c "))


def test_a_text_wins_over_every_name(make_bundle):
    """As a template needs it, whose text is the caller's to fill in; the documents' side has none."""
    bundle = make_bundle(prompts={"query": "Instruct: {task} Query: ", "passage": "b "})
    encoder = RetrievalEncoder(bundle, query_prompt="Instruct: птицы Query: ")
    np.testing.assert_array_equal(encoder.queries(TEXTS), load(bundle).encode(TEXTS, prompt="Instruct: птицы Query: "))
    np.testing.assert_array_equal(encoder.documents(TEXTS), load(bundle).encode(TEXTS, prompt="b "))
    silent = RetrievalEncoder(bundle, document_prompt="")
    np.testing.assert_array_equal(silent.documents(TEXTS), load(bundle).encode(TEXTS, prompt=""))


def test_a_template_that_nobody_filled_in_is_refused(make_bundle):
    bundle = make_bundle(prompts={"query": "Instruct: {task} Query: "})
    with pytest.raises(UsageError, match="is the template"):
        RetrievalEncoder(bundle, query_prompt_name="query")
    with pytest.raises(UsageError, match="is the template"):
        RetrievalEncoder(bundle).queries(TEXTS)


@pytest.mark.parametrize("side", ["query_prompt_name", "document_prompt_name"])
def test_an_unknown_name_is_refused_before_the_first_text(make_bundle, side):
    with pytest.raises(UsageError, match="'query', 'passage'"):
        RetrievalEncoder(make_bundle(), **{side: "вопрос"})


@pytest.mark.parametrize(("adapter", "module"), FRAMEWORKS.items())
def test_without_its_framework_an_adapter_says_what_to_install(monkeypatch, adapter, module):
    monkeypatch.setitem(sys.modules, module, None)  # what an import finds where nothing is installed
    monkeypatch.delitem(sys.modules, f"strizh.runtime.adapters.{adapter}", raising=False)
    with pytest.raises(MissingExtra, match=rf"pip install 'strizh\[{adapter.replace('_', '-')}\]'"):
        importlib.import_module(f"strizh.runtime.adapters.{adapter}")
