"""LlamaIndex: `StrizhEmbedding(bundle="bundle")` as `Settings.embed_model` or `embed_model=`."""

import asyncio
from typing import Any

from strizh.runtime.adapters.retrieval import RetrievalEncoder
from strizh.runtime.errors import MissingExtra

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
except ImportError as error:
    raise MissingExtra("llama-index-core", "llama-index", "strizh.runtime.adapters.llama_index") from error


class StrizhEmbedding(BaseEmbedding):
    """Embeddings of a bundle; prompts as `RetrievalEncoder` chooses them, everything else as `strizh.load`.

    The fields are what LlamaIndex saves and loads again: the bundle stays where it is.
    """

    bundle: str
    variant: str = "auto"
    threads: int | None = None
    query_prompt_name: str | None = None
    document_prompt_name: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    _encoder: RetrievalEncoder = PrivateAttr()

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex saves it."""
        return "StrizhEmbedding"

    def model_post_init(self, context: Any, /) -> None:
        """Open the bundle as soon as the fields are right."""
        super().model_post_init(context)
        names = self.query_prompt_name, self.document_prompt_name
        texts = self.query_prompt, self.document_prompt
        self._encoder = RetrievalEncoder(self.bundle, self.variant, self.threads, *names, *texts)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._encoder.queries([query])[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._encoder.documents(texts)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
