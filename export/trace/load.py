"""Any encoder that transformers itself knows, from a folder, in float32, without remote code."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, PretrainedConfig

from strizh.export.rope import parse_scaling
from strizh.export.settings import read_json
from strizh.export.spec import Pooling, Scaling
from strizh.export.trace.quiet import quiet_loading
from strizh.export.trace.rope_bert.model import RoPEBertModel
from strizh.export.trace.rope_bert.register import is_rope_bert
from strizh.runtime.errors import CheckpointError, UnsupportedModel, UsageError


def load_encoder(
    folder: Path, pooling: Sequence[Pooling], rope_scaling: str | None = None, ntk_length: str = "text"
) -> nn.Module:
    """The encoder of a checkpoint folder, in evaluation mode, with eager attention (the plainest graph).

    Raises `UnsupportedModel` for an architecture that only remote code describes, or that has no encoder of its own;
    `CheckpointError` where tensors are missing that the vectors need; `UsageError` for `rope_scaling` on a model other
    than RoPEBert.
    """
    config = read_json(folder / "config.json", dict)
    if is_rope_bert(config) and config.get("model_type") == RoPEBertModel.config_class.model_type:
        return _load_rope_bert(folder, pooling, rope_scaling, ntk_length)
    if rope_scaling is not None:
        raise UsageError(f"rope_scaling {rope_scaling!r} is for RoPEBert; {folder} is {config.get('model_type')!r}.")
    return _load_known(folder, pooling)


def _load_rope_bert(folder: Path, pooling: Sequence[Pooling], rope_scaling: str | None, ntk_length: str) -> nn.Module:
    overrides: dict[str, Any] = {"ntk_length": ntk_length}
    if rope_scaling is not None:
        kind, factor = parse_scaling(rope_scaling)
        overrides["rope_scaling"] = None if kind is Scaling.NONE else {"type": kind.value, "factor": factor}
    own = Pooling.FIRST_TOKEN_TRANSFORM in pooling
    overrides["pooler_type"] = (Pooling.FIRST_TOKEN_TRANSFORM if own else Pooling.MEAN).value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a pooler made at random: an error here, below
        model, found = RoPEBertModel.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, **overrides
        )
    _refuse_gaps(folder, model, found, pooling)
    return model


def _load_known(folder: Path, pooling: Sequence[Pooling]) -> nn.Module:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.use_cache = False
        with quiet_loading():
            model, found = _auto_class(config).from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                attn_implementation="eager",
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (ValueError, KeyError) as error:  # a model_type that transformers has no code for
        raise UnsupportedModel(
            f"transformers cannot load {folder} with code of its own ({_first_line(error)}). "
            "Expected an architecture that it ships; strizh never runs a checkpoint's remote code."
        ) from error
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{folder} cannot be loaded ({_first_line(error)}). Download it again.") from error
    _refuse_gaps(folder, model, found, pooling)
    return model.eval()


def _auto_class(config: PretrainedConfig) -> Any:
    """For T5 and its kin AutoModel has a decoder too; AutoModelForTextEncoding has the encoder alone, where it knows it."""
    if type(config) in AutoModelForTextEncoding._model_mapping:
        return AutoModelForTextEncoding
    if not config.is_encoder_decoder:
        return AutoModel
    raise UnsupportedModel(
        f"transformers has no encoder of {config.model_type!r} without its decoder. Expected an encoder, or an "
        "encoder-decoder like T5 whose encoder stands alone."
    )


def _refuse_gaps(folder: Path, model: nn.Module, found: dict[str, Any], pooling: Sequence[Pooling]) -> None:
    """transformers fills a missing tensor with random numbers and says so in a log; here it is an error."""
    own = Pooling.FIRST_TOKEN_TRANSFORM in pooling
    if own and getattr(model, "pooler", None) is None:
        raise UsageError(f"{type(model).__name__} has no pooler of its own, which first_token_transform is.")
    missing = sorted(name for name in found["missing_keys"] if own or "pooler" not in name)
    inside = tuple(f"{name}." for name, _ in model.named_children())
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    surplus = [name for name in sorted(found["unexpected_keys"]) if name.removeprefix(prefix).startswith(inside)]
    surplus = [name for name in surplus if not name.endswith(("position_ids", "inv_freq"))]
    gaps = [f"{title}: {', '.join(names)}" for title, names in (("missing", missing), ("surplus", surplus)) if names]
    if gaps:
        raise CheckpointError(
            f"{folder} does not hold the tensors of {type(model).__name__}; {'; '.join(gaps)}. "
            "Its vectors would be noise: check that config.json and weights belong together."
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
