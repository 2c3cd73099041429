"""The Haystack components in a pipeline."""

import pytest

from strizh.runtime.encoder import load

pytest.importorskip("haystack", reason="haystack-ai is not installed; `make interop` runs this")

from haystack import Document, Pipeline

from strizh.runtime.adapters.haystack import StrizhDocumentEmbedder, StrizhTextEmbedder

TEXTS = ["стриж летит быстрее", "the swift flies", "a b c"]


def test_documents_come_back_in_order_with_vectors(make_bundle):
    bundle = make_bundle()
    documents = [Document(content=text) for text in TEXTS]
    found = StrizhDocumentEmbedder(str(bundle)).run(documents=documents)["documents"]
    assert [document.content for document in found] == TEXTS
    assert [document.embedding for document in found] == load(bundle).encode(TEXTS, prompt_name="passage").tolist()
    assert all(document.embedding is None for document in documents)  # the caller's own are left as they were


def test_meta_fields_are_put_before_the_content(make_bundle):
    bundle = make_bundle()
    embedder = StrizhDocumentEmbedder(str(bundle), meta_fields_to_embed=["title", "none"], embedding_separator=" ")
    document = Document(content="летит", meta={"title": "стриж", "none": None})
    (found,) = embedder.run(documents=[document])["documents"]
    assert found.embedding == load(bundle).encode("стриж летит", prompt_name="passage").tolist()


def test_a_saved_pipeline_gives_the_same_vector(make_bundle):
    bundle = make_bundle()
    pipeline = Pipeline()
    pipeline.add_component("embedder", StrizhTextEmbedder(str(bundle), prompt_name="passage"))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["strizh.runtime.adapters.haystack"])
    expected = load(bundle).encode("стриж", prompt_name="passage").tolist()
    assert again.run({"embedder": {"text": "стриж"}})["embedder"]["embedding"] == expected
