"""The LlamaIndex adapter through LlamaIndex's own calls."""

import asyncio

import pytest

from strizh.runtime.encoder import load
from strizh.runtime.errors import BundleError

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed; `make interop` runs this")

from strizh.runtime.adapters.llama_index import StrizhEmbedding

TEXTS = ["стриж летит быстрее", "the swift flies", "a b c"]


def test_texts_and_queries_have_their_prompts(make_bundle):
    bundle = make_bundle()
    embedding, encoder = StrizhEmbedding(bundle=str(bundle)), load(bundle)
    documents = encoder.encode(TEXTS, prompt_name="passage").tolist()
    assert embedding.get_text_embedding_batch(TEXTS) == documents
    assert embedding.get_text_embedding(TEXTS[1]) == encoder.encode(TEXTS[1], prompt_name="passage").tolist()
    assert embedding.get_query_embedding("стриж") == encoder.encode("стриж", prompt_name="query").tolist()
    assert asyncio.run(embedding.aget_text_embedding_batch(TEXTS)) == documents


def test_it_is_saved_and_loaded_as_its_arguments(make_bundle):
    embedding = StrizhEmbedding(bundle=str(make_bundle()), query_prompt_name="passage")
    again = StrizhEmbedding.from_dict(embedding.to_dict())
    assert again.query_prompt_name == "passage"
    assert again.get_query_embedding("стриж") == embedding.get_query_embedding("стриж")


def test_a_missing_bundle_is_one_clear_error(tmp_path):
    with pytest.raises(BundleError):
        StrizhEmbedding(bundle=str(tmp_path / "nothing"))
