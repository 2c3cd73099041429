"""DeBERTa-v2 and v3: microsoft/mdeberta-v3-base, microsoft/deberta-v3-*, and the cross-encoders and NLI models made of them.

BERT's block with disentangled attention: distances are counted in logarithmic buckets, their vectors may have a norm of
their own (`norm_rel_ebd`), and with `share_att_key` the content's own products make a layer's position tables from them
(source: transformers' DebertaV2Model). The convolution of deberta-v2-xlarge has no target.
"""

from strizh.export.checkpoint import Checkpoint
from strizh.export.families import bert, deberta
from strizh.export.families.disentangled import described, position_source
from strizh.export.spec import EncoderSpec, Layer
from strizh.export.weights import Source

NAME = "deberta-v2"
IGNORED = (*deberta.IGNORED, r"mask_predictions\..*")  # of ELECTRA's discriminator, which v3 was trained as


def matches(checkpoint: Checkpoint) -> bool:
    return checkpoint.model_type == "deberta-v2"


def describe(checkpoint: Checkpoint) -> EncoderSpec:
    shape = bert.geometry(checkpoint.config, norm_eps=1e-7)
    positions, kinds = described(checkpoint, fixed={"conv_kernel_size": 0, "attention_head_size": shape["head_size"]})
    terms = sum(term in kinds for term in ("c2p", "p2c"))
    return EncoderSpec(
        **shape | positions | {"attention_scale": (shape["head_size"] * (1 + terms)) ** -0.5},
        family=NAME,
        position_offset=0,
        pad_token_id=bert.pad_token_id(checkpoint),
        layers=(Layer(),) * bert.layer_count(checkpoint.config),
        classifier=deberta.context_classifier(checkpoint),
    )


def sources(checkpoint: Checkpoint, spec: EncoderSpec) -> dict[str, Source]:
    found = deberta.encoder_sources(checkpoint, spec)
    normed = "layer_norm" in checkpoint.config.text("norm_rel_ebd", "none").lower()
    shared = checkpoint.config.flag("share_att_key")
    for index in range(len(spec.layers)):
        slot, name = f"layers.{index}.attention", f"encoder.layer.{index}.attention.self"
        for part, product in (("q", "query"), ("k", "key"), ("v", "value")):
            found |= bert.pair(f"{slot}.{part}", f"{name}.{product}_proj")
        for product in ("query", "key"):
            maker = f"{name}.{product}_proj" if shared else f"{name}.pos_{product}_proj"
            norm = "encoder.LayerNorm" if normed else None
            found[f"{slot}.position_{product}"] = position_source(spec, maker, norm=norm)
    return found
