"""`RoPEBertConfig`: the published `config.json` and what transformers 5 makes of it, read into one form."""

from typing import Any

from transformers import PreTrainedConfig

from strizh.export.spec import Pooling, Rope, Scaling
from strizh.runtime.errors import UsageError

POOLERS = (Pooling.MEAN, Pooling.FIRST_TOKEN_TRANSFORM)
SCALINGS = (Scaling.NONE, Scaling.LINEAR, Scaling.DYNAMIC)
NTK_LENGTHS = ("batch", "text")


class RoPEBertConfig(PreTrainedConfig):
    """Sizes are counts of elements, lengths are tokens.

    `rope_parameters` is the one place of the rotary settings, in transformers 5's form
    `{"rope_type": "default" | "linear" | "dynamic", "rope_theta": float, "factor": float}`; the older `rope_theta` with
    `rope_scaling = {"type": ..., "factor": ...}` is understood and converted. `factor` must be above 1.
    `ntk_length` says whose length the dynamic formula takes: "batch", the padded one, as the published module does, or
    "text", each row's own count of attended tokens, so that a vector does not depend on its neighbours.

    Raises `UsageError` for a pooler, scaling or size that RoPEBert does not have.
    """

    model_type = "bert"  # what the published checkpoints say; see register.py for how they are told from BERT

    def __init__(
        self,
        *,
        vocab_size: int = 30522,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        classifier_dropout: float | None = None,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
        pad_token_id: int = 0,
        pooler_type: str = "mean",
        ntk_length: str = "batch",
        rope_theta: float = 10000.0,
        rope_scaling: dict[str, Any] | None = None,
        rope_parameters: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.classifier_dropout = classifier_dropout
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        self.pad_token_id = pad_token_id
        self.pooler_type = _one_of("pooler_type", pooler_type, POOLERS)
        self.ntk_length = _one_of("ntk_length", ntk_length, NTK_LENGTHS)
        self.rope_parameters = _rope_parameters(rope_theta, rope_scaling, rope_parameters)
        if hidden_size % (2 * num_attention_heads):
            raise UsageError(
                f"hidden_size {hidden_size} with {num_attention_heads} heads gives no even head size, "
                "which rotary positions need: check both in config.json."
            )
        super().__init__(**rest)

    @property
    def head_dim(self) -> int:
        """Elements of one attention head, all of them rotated."""
        return int(self.hidden_size) // int(self.num_attention_heads)

    @property
    def rope(self) -> Rope:
        """The rotary settings as the spec words them."""
        kind = self.rope_parameters["rope_type"]
        return Rope(
            theta=self.rope_parameters["rope_theta"],
            dim=self.head_dim,
            scaling=Scaling.NONE if kind == "default" else Scaling(kind),
            factor=self.rope_parameters.get("factor", 1.0),
            trained_positions=self.max_position_embeddings,
        )

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **overrides: Any) -> Any:
        """As in transformers; `rope_scaling`, `pooler_type`, `ntk_length`, `num_labels` given here win over the file."""
        merged = dict(config_dict)
        # Published files ask for eager attention, yet their own loader picks sdpa: only the caller's word counts.
        merged.pop("attn_implementation", None)
        if "rope_scaling" in overrides:  # replaces the scaling and keeps the base
            old = merged.pop("rope_parameters", None) or {}
            merged["rope_theta"] = old.get("rope_theta", merged.get("rope_theta", 10000.0))
        labels = overrides.get("num_labels")
        if labels is not None and len(merged.get("id2label") or ()) != labels:
            merged.pop("id2label", None)
            merged.pop("label2id", None)
        for name in ("rope_scaling", "pooler_type", "ntk_length"):
            if name in overrides:
                merged[name] = overrides.pop(name)
        return super().from_dict(merged, **overrides)


def _rope_parameters(theta: float, scaling: dict[str, Any] | None, parameters: dict[str, Any] | None) -> dict[str, Any]:
    given = {**(parameters or {}), **(scaling or {})}
    theta = float(given.get("rope_theta", theta))
    kind = given.get("type", given.get("rope_type")) or Scaling.NONE
    kind = _one_of("rope_scaling type", Scaling.NONE if kind == "default" else kind, SCALINGS)
    if kind == Scaling.NONE:
        return {"rope_type": "default", "rope_theta": theta}
    factor = given.get("factor")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1.0 < factor < float("inf"):
        raise UsageError(f"rope_scaling factor is {factor!r}; {kind} scaling needs a number above 1, such as 2.0.")
    return {"rope_type": kind, "rope_theta": theta, "factor": float(factor)}


def _one_of(name: str, value: object, known: tuple[str, ...]) -> str:
    for candidate in known:
        if value == candidate:
            return str(candidate)
    raise UsageError(f"{name} is {value!r}; RoPEBert knows {', '.join(known)}.")
