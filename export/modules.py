"""The sentence-transformers side of a checkpoint: which modules follow the encoder, and the prompts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strizh.export.settings import Settings, read_json, read_settings
from strizh.export.spec import Pooling
from strizh.runtime.errors import CheckpointError, UnsupportedModel

# The order in which sentence-transformers concatenates several poolings.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_max_tokens": Pooling.MAX,
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_mean_sqrt_len_tokens": Pooling.MEAN_SQRT_LEN,
    "pooling_mode_weightedmean_tokens": Pooling.WEIGHTED_MEAN,
    "pooling_mode_lasttoken": Pooling.LAST,
}
_POOLING_NAMES = {"lasttoken": Pooling.LAST, "last": Pooling.LAST} | {mode.value: mode for mode in Pooling}


@dataclass(frozen=True, slots=True)
class Modules:
    """What `modules.json` and its folders say; a checkpoint without them has `present=False` and the defaults."""

    present: bool
    encoder: Path  # the folder of config.json, weights and tokenizer
    pooling: tuple[Pooling, ...] | None = None
    dense: tuple[Path, ...] = ()
    normalize: bool = False
    max_seq_length: int | None = None
    lower_case: bool = False
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    prompts_stored: bool = True  # False for those that only the model's card has
    activation: str | None = None  # a cross-encoder's, from logits to scores: a class of torch by its full name


def read_modules(folder: Path) -> Modules:
    """Read the module chain of a checkpoint folder; raises on a chain that the graph cannot express."""
    prompts = _read_prompts(folder / "config_sentence_transformers.json")
    listing = folder / "modules.json"
    if not listing.is_file():
        return Modules(False, folder, **prompts)
    steps = sorted(_steps(listing), key=lambda step: step.index("idx", 0))
    kinds = [step.text("type").rsplit(".", 1)[-1] for step in steps]
    shape = ["Transformer", "Pooling", *["Dense"] * kinds.count("Dense"), *["Normalize"] * kinds.count("Normalize")]
    if kinds == ["Transformer"]:  # a cross-encoder
        shape = kinds
    if kinds != shape or kinds.count("Normalize") > 1:
        raise UnsupportedModel(
            f"{listing} chains {' -> '.join(kinds)}; strizh reads Transformer -> Pooling -> Dense ... -> Normalize. "
            "Export without the other modules by removing them from modules.json."
        )
    paths = [inside(folder, step.text("path", "")) for step in steps]
    encoder = paths[0]
    limits = next((file for name in _LIMIT_FILES if (file := encoder / name).is_file()), None)
    settings = read_settings(limits) if limits else Settings(str(encoder), {})
    return Modules(
        True,
        encoder,
        pooling=_read_pooling(paths[1] / "config.json") if len(paths) > 1 else None,
        dense=tuple(path for path, kind in zip(paths, kinds, strict=True) if kind == "Dense"),
        normalize="Normalize" in kinds,
        max_seq_length=settings.count("max_seq_length") if settings.has("max_seq_length") else None,
        lower_case=settings.flag("do_lower_case"),
        **prompts,
    )


_LIMIT_FILES = ("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json")


def _steps(listing: Path) -> list[Settings]:
    steps = read_json(listing, list)
    if not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f"{listing} is no list of objects, one a module. Compare it with the published one.")
    return [Settings(f"{listing}: [{index}]", step) for index, step in enumerate(steps)]


def _read_pooling(path: Path) -> tuple[Pooling, ...]:
    config = read_settings(path)
    named = config.text_or_texts("pooling_mode")
    if named:
        unknown = [name for name in named if name not in _POOLING_NAMES]
        if unknown:
            raise UnsupportedModel(f"{path} asks for pooling {unknown}; known: {', '.join(sorted(_POOLING_NAMES))}.")
        return tuple(_POOLING_NAMES[name] for name in named)
    unknown = [key for key in config.fields if key.startswith("pooling_mode_") and config.flag(key)]
    unknown = [key for key in unknown if key not in _POOLING_FLAGS]
    modes = tuple(mode for flag, mode in _POOLING_FLAGS.items() if config.flag(flag))
    if unknown or not modes:
        raise UnsupportedModel(f"{path} asks for pooling {unknown or 'none'}; known: {', '.join(_POOLING_FLAGS)}.")
    if not config.flag("include_prompt", True):
        raise UnsupportedModel(
            f"{path} leaves the prompt's tokens out of the pooling (include_prompt: false), which the graph cannot see. "
            "Set include_prompt to true if the model allows it."
        )
    return modes


def _read_prompts(path: Path) -> dict[str, Any]:
    config = read_settings(path) if path.is_file() else Settings(str(path), {})
    prompts = config.section("prompts").all_texts()
    default = config.text("default_prompt_name", "") or None
    if default is not None and default not in prompts:
        raise CheckpointError(f"{path}: default_prompt_name {default!r} is none of its prompts {sorted(prompts)}.")
    return {"prompts": prompts, "default_prompt_name": default, "activation": config.text("activation_fn", "") or None}


def inside(folder: Path, path: str) -> Path:
    """`folder / path`, which must stay inside the folder."""
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise CheckpointError(f"modules.json of {folder} points outside the checkpoint: {path!r}.")
    return found
