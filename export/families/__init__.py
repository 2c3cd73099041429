"""The model families, one a file: each turns a checkpoint's config and tensor names into a spec and its sources."""

from typing import Protocol

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import (
    bert,
    deberta,
    deberta_v2,
    eurobert,
    gte,
    jina,
    modernbert,
    nomic_bert,
    qwen3,
    ropebert,
    t5,
    xlm_roberta,
)
from strizh.export.spec import EncoderSpec
from strizh.export.weights import Source
from strizh.runtime.errors import UnsupportedModel


class Family(Protocol):
    """What a family file provides."""

    @property
    def NAME(self) -> str:  # noqa: N802
        """The family's name in manifests and messages."""

    @property
    def IGNORED(self) -> tuple[str, ...]:  # noqa: N802
        """Patterns of tensors that play no part in sentence vectors."""

    def matches(self, checkpoint: Checkpoint) -> bool:
        """Whether this family describes the checkpoint, by more than its `model_type`."""

    def describe(self, checkpoint: Checkpoint) -> EncoderSpec:
        """The architecture, with the checkpoint's own pooling and head."""

    def sources(self, checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
        """The tensors behind each slot of the spec."""


# The first that matches describes the checkpoint. RoPEBert comes first: it calls itself "bert" too.
FAMILIES: tuple[Family, ...] = (
    ropebert,
    bert,
    xlm_roberta,
    deberta,
    deberta_v2,
    t5,
    modernbert,
    nomic_bert,
    gte,
    eurobert,
    qwen3,
    jina,
)


def find_family(checkpoint: Checkpoint) -> Family:
    """The family of a checkpoint; raises `UnsupportedModel` that names the ones there are."""
    for family in FAMILIES:
        if family.matches(checkpoint):
            return family
    raise UnsupportedModel(
        f"no family describes model_type {checkpoint.model_type!r} with architectures "
        f"{', '.join(checkpoint.config.texts('architectures')) or 'not stated'}; known: "
        f"{', '.join(family.NAME for family in FAMILIES)}. "
        "Export it by tracing instead: --method trace (portable-fp32 only)."
    )
