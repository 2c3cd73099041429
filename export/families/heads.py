"""Sequence classification heads, as the checkpoint's files declare them."""

from strizh.export.checkpoint import Checkpoint
from strizh.export.spec import Classifier, Pooling
from strizh.runtime.errors import UnsupportedModel
from strizh.runtime.manifest import SCORE_ACTIVATIONS


def is_classifier(checkpoint: Checkpoint) -> bool:
    """Whether it was saved as `...ForSequenceClassification`: others' configs may have settings of a head too."""
    return any(name.endswith("ForSequenceClassification") for name in checkpoint.config.texts("architectures"))


def sequence_classifier(
    checkpoint: Checkpoint, pooling: Pooling, hidden_activation: str | None = None, **shape: bool
) -> Classifier | None:
    """The head, if the checkpoint has one. `shape`: further fields of `Classifier`."""
    if not is_classifier(checkpoint):
        return None
    labels = _labels(checkpoint)
    return Classifier(
        labels,
        pooling,
        hidden_activation,
        **shape,
        activation=_activation(checkpoint, len(labels)),
        token_types=checkpoint.config.index("type_vocab_size", 0) or 1,
    )


def _labels(checkpoint: Checkpoint) -> tuple[str, ...]:
    stored = next((checkpoint.shape(name) for name in _OUTPUTS if name in checkpoint.names), None)
    named = checkpoint.config.section("id2label")
    count = stored[0] if stored else checkpoint.config.count("num_labels", len(named.fields) or 2, most=_MOST_LABELS)
    return tuple(str(named.fields.get(str(index), f"LABEL_{index}")) for index in range(count))


def _activation(checkpoint: Checkpoint, labels: int) -> str:
    """From logits to scores: a cross-encoder's own function, then the problem that config.json names.

    Without either, a sigmoid for one label and a softmax over several, as transformers' text classification does.
    """
    config = checkpoint.config
    stored = (
        checkpoint.modules.activation
        or config.section("sentence_transformers").text("activation_fn", "")  # sentence-transformers 4 and 5
        or config.text("sbert_ce_default_activation_function", "")  # and before
    )
    if stored:
        name = stored.rsplit(".", 1)[-1].lower()
        if name not in SCORE_ACTIVATIONS:
            raise UnsupportedModel(
                f"{checkpoint.folder} turns logits into scores by {stored!r}; known: {', '.join(SCORE_ACTIVATIONS)}. "
                "Remove it from the config and apply it to classify(..., activation='identity')."
            )
        return name
    by_problem = {"regression": "identity", "multi_label_classification": "sigmoid"}
    return by_problem.get(config.text("problem_type", ""), "sigmoid" if labels == 1 else "softmax")


_MOST_LABELS = 1_000_000
_OUTPUTS = ("classifier.weight", "classifier.out_proj.weight", "score.weight")
