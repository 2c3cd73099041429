"""The LangChain adapter in LangChain's own vector store."""

import asyncio

import numpy as np
import pytest

from strizh.runtime.encoder import load

pytest.importorskip("langchain_core", reason="langchain-core is not installed; `make interop` runs this")

from langchain_core.vectorstores import InMemoryVectorStore

from strizh.runtime.adapters.langchain import StrizhEmbeddings

TEXTS = ["стриж летит быстрее", "the swift flies", "a b c"]


def test_documents_and_queries_have_their_prompts(make_bundle):
    bundle = make_bundle()
    embeddings, encoder = StrizhEmbeddings(bundle), load(bundle)
    assert embeddings.embed_documents(TEXTS) == encoder.encode(TEXTS, prompt_name="passage").tolist()
    assert embeddings.embed_query("стриж") == encoder.encode("стриж", prompt_name="query").tolist()


def test_a_vector_store_ranks_as_the_encoder_does(make_bundle):
    bundle = make_bundle(normalize=True)
    store = InMemoryVectorStore.from_texts(TEXTS, StrizhEmbeddings(bundle))
    found = [document.page_content for document in store.similarity_search("the swift", k=3)]
    encoder = load(bundle)
    scores = encoder.encode(TEXTS, prompt_name="passage") @ encoder.encode("the swift", prompt_name="query")
    assert found == [TEXTS[index] for index in np.argsort(-scores)]


async def collect(embeddings):
    return await embeddings.aembed_documents(TEXTS), await embeddings.aembed_query(TEXTS[0])


def test_the_asynchronous_calls_give_the_same(make_bundle):
    embeddings = StrizhEmbeddings(make_bundle())
    assert asyncio.run(collect(embeddings)) == (embeddings.embed_documents(TEXTS), embeddings.embed_query(TEXTS[0]))
