"""mteb: `mteb.evaluate(StrizhModel("bundle"), tasks)`, so that a bundle is measured as any other model."""

from collections.abc import Iterable, Mapping
from typing import Any

from strizh.runtime.adapters.retrieval import RetrievalEncoder
from strizh.runtime.errors import MissingExtra
from strizh.runtime.prompts import TASK, named_prompt
from strizh.runtime.vectors import Float32

try:
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.types import PromptType
except ImportError as error:
    raise MissingExtra("mteb", "mteb", "strizh.runtime.adapters.mteb") from error


class StrizhModel(AbsEncoder):
    """A bundle as a model of mteb.

    `prompt_names` says which of the bundle's prompts a task gets: by the task's name ("STSB"), its type
    ("Classification"), or either with the side after a dash ("STSB-query", "Retrieval-document"); the most exact key
    wins. Without one, queries and documents go as `RetrievalEncoder` sends them, and other texts under the bundle's
    default prompt. A template (`{task}`) is filled with what mteb says of the task. Everything else is as in
    `strizh.load`.
    """

    def __init__(
        self,
        bundle: str,
        revision: str | None = None,
        *,
        variant: str = "auto",
        threads: int | None = None,
        prompt_names: Mapping[str, str] | None = None,
    ) -> None:
        self._encoder = RetrievalEncoder(bundle, variant, threads)
        self._prompt_names = dict(prompt_names or {})
        encoder = self._encoder.encoder
        for name in self._prompt_names.values():
            named_prompt(encoder.prompts, name)  # refused now, not after an hour
        facts = {"name": f"strizh/{encoder.manifest.name.rpartition('/')[2]}", "revision": revision or encoder.variant}
        limits = {"embed_dim": encoder.dimension, "max_tokens": encoder.max_length}
        self.mteb_model_meta = ModelMeta.create_empty(facts | limits | {"similarity_fn_name": ScoringFunction.COSINE})

    def encode(
        self, inputs: Iterable[Mapping[str, Any]], *, task_metadata: Any, prompt_type: Any = None, **_: Any
    ) -> Float32:
        """Vectors of the batches' texts, one after another: float32 [n, dim]. mteb's batch size is not needed."""
        texts = [text for batch in inputs for text in batch["text"]]
        encoder, name, prompt = self._encoder.encoder, self._prompt_name(task_metadata, prompt_type), None
        template = encoder.prompts.get(name or "", "")
        if TASK in template and (task := self.get_instruction(task_metadata, prompt_type)):
            prompt = template.replace(TASK, task)
        return encoder.encode(texts, prompt=prompt, prompt_name=name)

    def _prompt_name(self, task: Any, side: Any) -> str | None:
        exact = [f"{kind}-{side.value}" for kind in (task.name, task.type)] if side else []
        keys = [*exact[:1], task.name, *exact[1:], task.type]
        sides = {
            PromptType.query: self._encoder.query_prompt_name,
            PromptType.document: self._encoder.document_prompt_name,
        }
        return next((self._prompt_names[key] for key in keys if key in self._prompt_names), sides.get(side))
