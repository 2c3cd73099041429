"""Loading with every tensor accounted for: what is missing and what is left over is one error that names it all."""

import warnings
from typing import Any

from transformers import PreTrainedModel

from strizh.export.trace.quiet import quiet_loading
from strizh.export.trace.rope_bert.config import RoPEBertConfig
from strizh.runtime.errors import CheckpointError

# Parts above the encoder. A checkpoint may come without them, because they are what fine-tuning adds.
HEADS = ("cls.", "classifier.", "pooler.", "bert.pooler.")


class RoPEBertPreTrainedModel(PreTrainedModel):
    """What the three models share: the config, the names of the published tensors, and a strict `from_pretrained`."""

    config_class = RoPEBertConfig
    base_model_prefix = "bert"
    _supports_sdpa = True
    # Heads of other models than the one asked for, the tied decoder, and buffers of old transformers are no surplus.
    _keys_to_ignore_on_load_unexpected = (
        r"^cls\.",
        r"^classifier\.",
        r"^(bert\.)?pooler\.",
        r"\.position_ids$",
    )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *args: Any,
        output_loading_info: bool = False,
        ignore_mismatched_sizes: bool = False,
        **kwargs: Any,
    ) -> Any:
        """transformers' own loader (same arguments), made strict.

        `attn_implementation` is "sdpa" or "eager"; `pooler_type`, `rope_scaling`, `ntk_length` and `num_labels` win
        over the checkpoint's config. A head that the checkpoint does not have (classifier, pooler, masked LM) is created at
        random for training, with a `UserWarning` that names its tensors; with `ignore_mismatched_sizes=True` so is a
        head of another size. Any other tensor that is missing, left over or of another shape is a `CheckpointError`.
        """
        with quiet_loading():
            model, found = super().from_pretrained(
                pretrained_model_name_or_path, *args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
            )
        source = str(pretrained_model_name_or_path)
        resized = {name for name, *_ in found["mismatched_keys"]}
        fresh = {name for name in found["missing_keys"] | resized if name.startswith(HEADS)}
        tolerated = fresh if ignore_mismatched_sizes else fresh - resized
        _refuse_gaps(source, cls.__name__, found, tolerated)
        if fresh:
            warnings.warn(
                f"{source} has no {', '.join(sorted(fresh))}: these start at random and mean nothing until trained.",
                stacklevel=2,
            )
        return (model, found) if output_loading_info else model


def _refuse_gaps(source: str, model: str, found: dict[str, Any], tolerated: set[str]) -> None:
    shapes = [
        f"{name} is {list(theirs)} instead of {list(ours)}"
        for name, theirs, ours in sorted(found["mismatched_keys"])
        if name not in tolerated
    ]
    missing = sorted(found["missing_keys"] - tolerated)
    surplus = sorted(found["unexpected_keys"])
    findings = [
        f"{title}: {', '.join(names)}"
        for title, names in (("missing", missing), ("surplus", surplus), ("of another shape", shapes))
        if names
    ]
    if findings:
        raise CheckpointError(
            f"{source} does not hold the tensors of {model}; {'; '.join(findings)}. "
            "Check that it is a RoPEBert checkpoint and that config.json is its own."
        )
