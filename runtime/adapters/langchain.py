"""LangChain: `StrizhEmbeddings("bundle")` wherever `Embeddings` are asked for."""

from os import PathLike

from strizh.runtime.adapters.retrieval import RetrievalEncoder
from strizh.runtime.errors import MissingExtra

try:
    from langchain_core.embeddings import Embeddings
except ImportError as error:
    raise MissingExtra("langchain-core", "langchain", "strizh.runtime.adapters.langchain") from error


class StrizhEmbeddings(Embeddings):
    """Embeddings of a bundle; prompts as `RetrievalEncoder` chooses them, everything else as `strizh.load`."""

    def __init__(
        self,
        bundle: str | PathLike[str],
        *,
        variant: str = "auto",
        threads: int | None = None,
        query_prompt_name: str | None = None,
        document_prompt_name: str | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
    ) -> None:
        names, texts = (query_prompt_name, document_prompt_name), (query_prompt, document_prompt)
        self._encoder = RetrievalEncoder(bundle, variant, threads, *names, *texts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text."""
        return self._encoder.documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """The vector of one query."""
        return self._encoder.queries([text])[0]
