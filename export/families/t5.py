"""The encoder of T5 and mT5: ai-forever/FRIDA, sentence-t5.

Pre-norm with RMSNorm, no biases, scores without scale, and one table of bucketed distances that block 0 stores and every
block adds to its scores (source: transformers' T5Stack). Checkpoints of the whole model hold a decoder too, which plays no
part here.
"""

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert
from strizh.export.families.heads import is_classifier
from strizh.export.settings import Settings
from strizh.export.spec import Activation, EncoderSpec, Layer, Norm, Positions
from strizh.export.weights import Source
from strizh.runtime.errors import UnsupportedModel

NAME = "t5"
WORDS = ("shared.weight", "encoder.embed_tokens.weight")  # two names of one table; a file may have either or both
IGNORED = (r"decoder\..*", r"lm_head\..*", *WORDS)
_TRAINED_POSITIONS = 512  # T5's own, where the config has no n_positions; the buckets know no end


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type in ("t5", "mt5")


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    config = checkpoint.config
    if is_classifier(checkpoint):
        raise UnsupportedModel(
            f"{checkpoint.folder} is a T5ForSequenceClassification, whose labels come from its decoder; strizh exports T5's "
            "encoder only. Save the encoder by itself, as a T5EncoderModel."
        )
    activation, gated = _feed_forward(config)
    heads = config.count("num_heads")
    return EncoderSpec(
        family=NAME,
        vocab_size=config.count("vocab_size"),
        hidden_size=config.count("d_model"),
        num_heads=heads,
        num_kv_heads=heads,
        head_size=config.count("d_kv"),
        intermediate_size=config.count("d_ff"),
        layers=(Layer(),) * bert.layer_count(config, "num_layers"),
        positions=Positions.RELATIVE_BIAS,
        relative_buckets=config.count("relative_attention_num_buckets", 32),
        relative_max_distance=config.count("relative_attention_max_distance", 128),
        max_positions=config.count("n_positions", _TRAINED_POSITIONS),
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        activation=activation,
        gated_mlp=gated,
        norm=Norm.RMS,
        norm_eps=config.positive("layer_norm_epsilon", 1e-6),
        pre_norm=True,
        embedding_norm=False,
        final_norm=True,
        attention_scale=1.0,
        attention_bias=(False,) * 4,
        mlp_bias=(False, False),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    word = next((name for name in WORDS if name in checkpoint.names), WORDS[0])
    names = {
        "embeddings.word": word,
        "relative_bias": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "final_norm.weight": "encoder.final_layer_norm.weight",
    }
    inner = {"gate": "wi_0", "up": "wi_1"} if spec.gated_mlp else {"up": "wi"}
    for index in range(len(spec.layers)):
        slot, attention, mlp = f"layers.{index}", *(f"encoder.block.{index}.layer.{half}" for half in (0, 1))
        names |= {f"{slot}.attention.{side}.weight": f"{attention}.SelfAttention.{side}.weight" for side in "qkvo"}
        names[f"{slot}.attention.norm.weight"] = f"{attention}.layer_norm.weight"
        for side, name in (inner | {"down": "wo"}).items():
            names[f"{slot}.mlp.{side}.weight"] = f"{mlp}.DenseReluDense.{name}.weight"
        names[f"{slot}.mlp.norm.weight"] = f"{mlp}.layer_norm.weight"
    return {slot: Source((name,)) for slot, name in names.items()}


def _feed_forward(config: Settings) -> tuple[Activation, bool]:
    """`feed_forward_proj`, such as relu or gated-gelu, which means gelu_new for the sake of old checkpoints."""
    name = config.text("feed_forward_proj", "relu")
    gated = name.startswith("gated-")
    kind = "gelu_new" if name == "gated-gelu" else name.removeprefix("gated-")
    return bert.activation_named(kind, "feed_forward_proj", config), gated
