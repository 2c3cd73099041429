"""The checkpoint in CTranslate2's format, `float32` or `int8`. Its converter knows no rotary BERT; its runtime does."""

import json
from pathlib import Path
from typing import Any

ENVIRONMENT = "ctranslate2"


def key(source: str) -> str:
    """Never changes: the checkpoint does not, and the version is pinned by the environment."""
    return "1"


def make(model: dict[str, Any], source: str, path: str) -> None:
    """Write the spec tensor by tensor, with weights of type `source`.

    BERT, and RoPEBert without scaling; `ValueError` for others.
    """
    import numpy as np
    from ctranslate2.specs import common_spec, transformer_spec
    from safetensors.numpy import load_file

    config = json.loads(Path(model["checkpoint"], "config.json").read_text(encoding="utf-8"))
    if config.get("rope_scaling") or config.get("model_type") != "bert" or config["hidden_act"] != "gelu":
        raise ValueError("only BERT and RoPEBert without scaling are converted to CTranslate2's format")
    stored = load_file(Path(model["checkpoint"], "model.safetensors"))
    tensors = {name.removeprefix("bert."): tensor.astype(np.float32) for name, tensor in stored.items()}
    positions = tensors.get("embeddings.position_embeddings.weight")
    rotary: dict[str, Any] = {}
    if positions is None:
        head_size = config["hidden_size"] // config["num_attention_heads"]
        rotary = {"rotary_dim": head_size, "rotary_interleave": False, "rotary_base": config["rope_theta"]}
    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
        **rotary,
    )
    encoder.scale_embeddings = False
    # One type of text only: its row is a part of every word's.
    types = tensors.get("embeddings.token_type_embeddings.weight", np.zeros((1, 1), np.float32))
    encoder.embeddings[0].weight = tensors["embeddings.word_embeddings.weight"] + types[0]
    if positions is not None:
        encoder.position_encodings.encodings = positions
    _norm(encoder.layernorm_embedding, tensors, "embeddings.LayerNorm")
    for index, layer in enumerate(encoder.layer):
        _layer(layer, tensors, f"encoder.layer.{index}")
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.config.layer_norm_epsilon = config["layer_norm_eps"]
    spec.register_vocabulary(["<unk>", *(f"<{index}>" for index in range(1, config["vocab_size"]))])
    spec.validate()
    spec.optimize(quantization=source)
    Path(path).mkdir()
    spec.save(path)


def _layer(spec: Any, tensors: dict[str, Any], at: str) -> None:
    import numpy as np

    sides = [f"{at}.attention.self.{side}" for side in ("query", "key", "value")]
    for field in ("weight", "bias"):
        setattr(spec.self_attention.linear[0], field, np.concatenate([tensors[f"{side}.{field}"] for side in sides]))
    _linear(spec.self_attention.linear[1], tensors, f"{at}.attention.output.dense")
    _norm(spec.self_attention.layer_norm, tensors, f"{at}.attention.output.LayerNorm")
    _linear(spec.ffn.linear_0, tensors, f"{at}.intermediate.dense")
    _linear(spec.ffn.linear_1, tensors, f"{at}.output.dense")
    _norm(spec.ffn.layer_norm, tensors, f"{at}.output.LayerNorm")


def _linear(spec: Any, tensors: dict[str, Any], at: str) -> None:
    spec.weight, spec.bias = tensors[f"{at}.weight"], tensors[f"{at}.bias"]


def _norm(spec: Any, tensors: dict[str, Any], at: str) -> None:
    spec.gamma, spec.beta = tensors[f"{at}.weight"], tensors[f"{at}.bias"]
