"""Sequence classification heads, as config.json declares them."""

from strizh.export.checkpoint import Checkpoint
from strizh.export.spec import Classifier, Pooling


def sequence_classifier(
    checkpoint: Checkpoint, pooling: Pooling, hidden_activation: str | None = None
) -> Classifier | None:
    """The head, if the checkpoint was saved as `...ForSequenceClassification`."""
    names = checkpoint.config.get("architectures") or ()
    if not any(str(name).endswith("ForSequenceClassification") for name in names):
        return None
    return Classifier(_labels(checkpoint), pooling, hidden_activation)


def _labels(checkpoint: Checkpoint) -> tuple[str, ...]:
    stored = next((checkpoint.shape(name) for name in _OUTPUTS if name in checkpoint.names), None)
    named = checkpoint.config.get("id2label") or {}
    count = stored[0] if stored else int(checkpoint.config.get("num_labels") or len(named) or 2)
    return tuple(str(named.get(str(index), f"LABEL_{index}")) for index in range(count))


_OUTPUTS = ("classifier.weight", "classifier.out_proj.weight")
