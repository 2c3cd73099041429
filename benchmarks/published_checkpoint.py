"""A checkpoint of a published shape with random weights, as transformers and sentence-transformers save it."""

from pathlib import Path
from typing import Any

from benchmarks.geometries import VOCAB_SIZE, write_json, write_tokenizer
from benchmarks.published import Published
from strizh.export.quantize.calibration import calibration_texts

_MODULES = "sentence_transformers.models"


def write_published(folder: Path, shape: Published) -> int:
    """Write the checkpoint; returns how many parameters it has. Needs the extra `trace`."""
    import torch

    torch.manual_seed(0)
    model = _model(shape)
    _randomise(model)
    if shape.half:
        model.half()
    model.save_pretrained(folder)
    longest = 512 if shape.model_type == "t5" else int(shape.config.get("max_position_embeddings", 512))
    write_tokenizer(folder, longest, min(VOCAB_SIZE, model.config.vocab_size), _calibration_words())
    _write_modules(folder, shape, model.config.hidden_size)
    return sum(parameter.numel() for parameter in model.parameters())


def _calibration_words() -> list[str]:
    """Int8 is planned on texts: if their words had no ids, it would be planned on one unknown token again and again."""
    from tokenizers.pre_tokenizers import BertPreTokenizer

    split = BertPreTokenizer().pre_tokenize_str
    return [word for text in calibration_texts() for word, _ in split(text.lower())]


def _model(shape: Published) -> Any:
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    from strizh.export.trace import RoPEBertModel

    if shape.model_type == "rope_bert":
        return RoPEBertModel(RoPEBertModel.config_class(**shape.config))
    auto = AutoModelForTextEncoding if shape.model_type == "t5" else AutoModel
    return auto.from_config(AutoConfig.for_model(shape.model_type, **shape.config))


def _randomise(model: Any) -> None:
    """Products keep the variance of what they multiply, so that attention is neither uniform nor one-hot."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name.lower() and name.endswith("weight")
            spread = 0.1 if is_norm or name.endswith("bias") else parameter.shape[-1] ** -0.5
            if name.endswith("SelfAttention.q.weight"):  # T5 has no scale: its own initialisation has it in here
                spread *= model.config.d_kv**-0.5
            # As GPT-2 begins, and ModernBERT (its Wo): layers refine what they add to.
            if name.endswith(("o_proj.weight", "down_proj.weight", "attn.Wo.weight", "mlp.Wo.weight")):
                spread *= (2 * model.config.num_hidden_layers) ** -0.5
            if name.endswith(("embed_tokens.weight", "shared.weight", "rel_embeddings.weight")):
                spread = 1.0
            parameter.normal_(1.0 if is_norm else 0.0, spread)


def _write_modules(folder: Path, shape: Published, hidden: int) -> None:
    kinds = ["Transformer", "Pooling", *(["Dense"] if shape.dense else []), "Normalize"]
    paths = ["", *(f"{index}_{kind}" for index, kind in enumerate(kinds) if index)]
    steps = zip(kinds, paths, strict=True)
    write_json(
        folder / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": f"{_MODULES}.{kind}"}
            for index, (kind, path) in enumerate(steps)
        ],
    )
    (folder / "1_Pooling").mkdir()
    write_json(
        folder / "1_Pooling" / "config.json", {"word_embedding_dimension": hidden, "pooling_mode": shape.pooling}
    )
    if shape.dense:
        _write_dense(folder / "2_Dense", hidden)


def _write_dense(folder: Path, hidden: int) -> None:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    tanh = {"activation_function": "torch.nn.modules.activation.Tanh"}
    write_json(folder / "config.json", {"in_features": hidden, "out_features": hidden, "bias": True} | tanh)
    dense = torch.nn.Linear(hidden, hidden)
    save_file(
        {f"linear.{name}": tensor.data for name, tensor in dense.named_parameters()}, folder / "model.safetensors"
    )
