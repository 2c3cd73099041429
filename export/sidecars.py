"""The files beside the graphs, where sentence-transformers, text-embeddings-inference, fastembed and transformers.js look."""

import json
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from strizh.export.checkpoint import Checkpoint
from strizh.export.options import Plan
from strizh.export.spec import Pooling

_FLAGS = {
    Pooling.CLS: "pooling_mode_cls_token",
    Pooling.MEAN: "pooling_mode_mean_tokens",
    Pooling.MAX: "pooling_mode_max_tokens",
    Pooling.MEAN_SQRT_LEN: "pooling_mode_mean_sqrt_len_tokens",
    Pooling.WEIGHTED_MEAN: "pooling_mode_weightedmean_tokens",
    Pooling.LAST: "pooling_mode_lasttoken",
}
_TORCH_ACTIVATIONS = {"identity": "linear.Identity", "tanh": "activation.Tanh", "relu": "activation.ReLU"}
_TORCH_ACTIVATIONS |= {"sigmoid": "activation.Sigmoid"}


def write_sidecars(folder: Path, checkpoint: Checkpoint, plan: Plan) -> None:
    """Tokenizer, config without remote code, sentence-transformers modules and prompts."""
    (folder / "tokenizer.json").write_text(checkpoint.tokenizer.json, encoding="utf-8")
    limit = {"model_max_length": plan.max_length}
    _write(folder / "tokenizer_config.json", checkpoint.tokenizer.config | limit)
    specials = checkpoint.modules.encoder / "special_tokens_map.json"
    if specials.is_file():
        _write(folder / "special_tokens_map.json", json.loads(specials.read_text(encoding="utf-8")))
    _write(folder / "config.json", {key: value for key, value in checkpoint.config.fields.items() if key != "auto_map"})
    prompts = {"prompts": checkpoint.modules.prompts, "default_prompt_name": checkpoint.modules.default_prompt_name}
    _write(folder / "config_sentence_transformers.json", prompts | {"similarity_fn_name": "cosine"})
    # The tokenizer of a bundle lowers by itself where the checkpoint's modules did.
    _write(folder / "sentence_bert_config.json", {"max_seq_length": plan.max_length, "do_lower_case": False})
    if all(mode in _FLAGS for mode in plan.spec.pooling):  # sentence-transformers has no first_token_transform
        _write_modules(folder, plan)


def _write_modules(folder: Path, plan: Plan) -> None:
    spec = plan.spec
    chain = [("Transformer", ""), ("Pooling", "1_Pooling")]
    chain += [("Dense", f"{len(chain) + index}_Dense") for index in range(len(spec.projections))]
    chain += [("Normalize", f"{len(chain)}_Normalize")] if spec.normalize else []
    listing = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(chain)
    ]
    _write(folder / "modules.json", listing)
    flags: dict[str, Any] = {"word_embedding_dimension": spec.hidden_size}
    _write(folder / "1_Pooling/config.json", flags | {flag: mode in spec.pooling for mode, flag in _FLAGS.items()})
    for index, dense in enumerate(spec.projections):
        home = folder / f"{2 + index}_Dense"
        config = {
            "in_features": dense.in_features,
            "out_features": dense.out_features,
            "bias": dense.bias,
            "activation_function": f"torch.nn.modules.{_TORCH_ACTIVATIONS[dense.activation]}",
        }
        _write(home / "config.json", config)
        names = ("weight", "bias") if dense.bias else ("weight",)
        save_file(
            {f"linear.{name}": plan.dense[f"projections.{index}.{name}"] for name in names}, home / "model.safetensors"
        )


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
