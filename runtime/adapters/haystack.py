"""Haystack: `StrizhTextEmbedder` for queries and `StrizhDocumentEmbedder` for documents, as pipeline components.

A pipeline saves what the constructor was given, so every argument is kept under its own name. Haystack loads it again with
`Pipeline.loads(..., allowed_modules=["strizh.runtime.adapters.haystack"])`.
"""

from dataclasses import replace
from typing import Any

from strizh.runtime.adapters.retrieval import RetrievalEncoder
from strizh.runtime.errors import MissingExtra

try:
    from haystack import Document, component
except ImportError as error:
    raise MissingExtra("haystack-ai", "haystack", "strizh.runtime.adapters.haystack") from error


@component
class StrizhTextEmbedder:
    """A query's vector; the prompt as `RetrievalEncoder` chooses it, everything else as `strizh.load`."""

    def __init__(
        self,
        bundle: str,
        *,
        variant: str = "auto",
        threads: int | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
    ) -> None:
        self.bundle, self.variant, self.threads = bundle, variant, threads
        self.prompt_name, self.prompt = prompt_name, prompt
        self._encoder: RetrievalEncoder | None = None

    def warm_up(self) -> None:
        """Open the bundle, once."""
        if self._encoder is None:
            prompts = {"query_prompt_name": self.prompt_name, "query_prompt": self.prompt}
            self._encoder = RetrievalEncoder(self.bundle, self.variant, self.threads, **prompts)

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """`embedding`: the query's vector."""
        self.warm_up()
        assert self._encoder is not None
        return {"embedding": self._encoder.queries([text])[0]}


@component
class StrizhDocumentEmbedder:
    """Documents with their vectors; the prompt as `RetrievalEncoder` chooses it, the rest as `strizh.load`.

    What is encoded is the values of `meta_fields_to_embed`, then the content, joined by `embedding_separator`.
    """

    def __init__(
        self,
        bundle: str,
        *,
        variant: str = "auto",
        threads: int | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
    ) -> None:
        self.bundle, self.variant, self.threads = bundle, variant, threads
        self.prompt_name, self.prompt = prompt_name, prompt
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator
        self._encoder: RetrievalEncoder | None = None

    def warm_up(self) -> None:
        """Open the bundle, once."""
        if self._encoder is None:
            prompts = {"document_prompt_name": self.prompt_name, "document_prompt": self.prompt}
            self._encoder = RetrievalEncoder(self.bundle, self.variant, self.threads, **prompts)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """`documents`: copies, in their order, each with its `embedding`."""
        self.warm_up()
        assert self._encoder is not None
        vectors = self._encoder.documents(self._text(document) for document in documents)
        return {"documents": [replace(old, embedding=row) for old, row in zip(documents, vectors, strict=True)]}

    def _text(self, document: Document) -> str:
        fields = [str(document.meta[name]) for name in self.meta_fields_to_embed if document.meta.get(name) is not None]
        return self.embedding_separator.join([*fields, document.content or ""])
