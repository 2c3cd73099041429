"""Prompts of published models whose checkpoints store none: those that their cards tell people to type."""

import dataclasses
import re

from strizh.export.checkpoint import Checkpoint

# The end of a model's name -> its prompts by the names that sentence-transformers' checkpoints use. None is a default: a
# user of these models puts them before the text by himself, and would have them twice. `{task}` is for the user to fill.
_PROMPTS = {
    r"multilingual-e5-(small|base|large)": {"query": "query: ", "passage": "passage: "},
    r"multilingual-e5-large-instruct": {"query": "Instruct: {task}\nQuery: ", "passage": ""},
}


def with_known_prompts(checkpoint: Checkpoint, source: str) -> Checkpoint:
    """The checkpoint with its model's prompts, where it stores none and `source`, a folder or a hub id, names a known one."""
    name = source.rstrip("/").rsplit("/", 1)[-1]
    known = next((prompts for ending, prompts in _PROMPTS.items() if re.fullmatch(ending, name)), None)
    if known is None or checkpoint.modules.prompts:
        return checkpoint
    return dataclasses.replace(
        checkpoint, modules=dataclasses.replace(checkpoint.modules, prompts=dict(known), prompts_stored=False)
    )
