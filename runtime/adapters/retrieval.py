"""What the adapters share: an encoder that knows under which prompts its queries and its documents go."""

from collections.abc import Iterable
from os import PathLike

from strizh.runtime.encoder import load
from strizh.runtime.prompts import resolve_prompt

# Names that models on the hub give to the two prompts of retrieval, in the order in which they are looked for.
QUERY_NAMES = ("query", "search_query")
DOCUMENT_NAMES = ("document", "passage", "corpus", "search_document")


class RetrievalEncoder:
    """A bundle with a prompt for queries and one for documents.

    A prompt is given as its text (an instruct template's, filled in) or by name. Of a side that has neither, the name is
    the first of `QUERY_NAMES` or `DOCUMENT_NAMES` that the bundle has; where it has none of them, its default prompt is
    used. Raises what `strizh.load` raises, and `UsageError` for an unknown name or for a template's.
    """

    def __init__(
        self,
        bundle: str | PathLike[str],
        variant: str = "auto",
        threads: int | None = None,
        query_prompt_name: str | None = None,
        document_prompt_name: str | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
    ) -> None:
        self.encoder = load(bundle, variant, threads)
        prompts = self.encoder.prompts
        for text, name in ((query_prompt, query_prompt_name), (document_prompt, document_prompt_name)):
            resolve_prompt(prompts, None, prompt=text, prompt_name=name)  # refused now, not at the first query
        self._query_prompt, self._document_prompt = query_prompt, document_prompt
        self.query_prompt_name = query_prompt_name or _first(QUERY_NAMES, prompts)
        self.document_prompt_name = document_prompt_name or _first(DOCUMENT_NAMES, prompts)

    def queries(self, texts: Iterable[str]) -> list[list[float]]:
        """Vectors of queries: n lists of `dim` numbers."""
        return self._lists(texts, self._query_prompt, self.query_prompt_name)

    def documents(self, texts: Iterable[str]) -> list[list[float]]:
        """Vectors of documents: n lists of `dim` numbers."""
        return self._lists(texts, self._document_prompt, self.document_prompt_name)

    def _lists(self, texts: Iterable[str], prompt: str | None, name: str | None) -> list[list[float]]:
        vectors: list[list[float]] = self.encoder.encode(list(texts), prompt=prompt, prompt_name=name).tolist()
        return vectors


def _first(names: Iterable[str], prompts: dict[str, str]) -> str | None:
    return next((name for name in names if name in prompts), None)
