"""A checkpoint as its authors published it: a folder, read but never executed."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from strizh.export.modules import Modules, read_modules
from strizh.export.settings import Settings, read_settings
from strizh.export.tensors import TensorStore, open_tensors
from strizh.export.tokenizer import TokenizerFacts, read_tokenizer
from strizh.runtime.errors import CheckpointError, UsageError
from strizh.runtime.manifest import MANIFEST

# Saves of `XxxForMaskedLM` and the like put the encoder under its model's name.
_PREFIXES = ("bert.", "roberta.", "deberta.", "model.", "new.", "gte.", "nomic_bert.")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`tensors` are keyed as stored; `names` maps a name without prefix, in today's spelling, to the stored one."""

    folder: Path
    config: Settings
    tensors: TensorStore
    names: dict[str, str]
    tokenizer: TokenizerFacts
    modules: Modules
    task: str | None = None  # whose adapter is merged into the weights

    @property
    def model_type(self) -> str:
        """What transformers calls the architecture; empty where config.json does not say."""
        return self.config.text("model_type", "")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that the checkpoint has adapters for."""
        return self.config.texts("lora_adaptations")

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor by its name without prefix."""
        return self.tensors.shapes[self.names[name]]


def read_checkpoint(folder: Path, task: str | None = None) -> Checkpoint:
    """Read a checkpoint folder, for one of its tasks where it has adapters; the task's prompt is then the default one.

    Raises `CheckpointError` where something is missing or damaged, `UsageError` for a task that it does not have.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder. Expected a checkpoint with config.json and model.safetensors."
        )
    if (folder / MANIFEST).is_file() and not any(folder.glob("*model*")):
        raise CheckpointError(f"{folder} is a bundle already. Give the checkpoint that it was made from.")
    modules = read_modules(folder)
    config = read_settings(modules.encoder / "config.json")
    tensors = open_tensors(modules.encoder)
    checkpoint = Checkpoint(
        folder=folder,
        config=config,
        tensors=tensors,
        names=_plain_names(tensors),
        tokenizer=read_tokenizer(modules.encoder, modules.lower_case),
        modules=modules,
        task=task,
    )
    if task is None:
        return checkpoint
    if task not in checkpoint.tasks:
        has = f"it has {', '.join(checkpoint.tasks)}" if checkpoint.tasks else "it has no adapters, so leave --task out"
        raise UsageError(f"{folder} has no adapter for task {task!r}; {has}.")
    prompts = modules.prompts or config.section("task_instructions").all_texts()
    default = task if task in prompts else modules.default_prompt_name
    return dataclasses.replace(
        checkpoint, modules=dataclasses.replace(modules, prompts=prompts, default_prompt_name=default)
    )


def _plain_names(tensors: TensorStore) -> dict[str, str]:
    prefix = next((prefix for prefix in _PREFIXES if any(name.startswith(prefix) for name in tensors)), "")
    plain = {}
    for name in tensors:
        short = name.removeprefix(prefix)
        short = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", short)  # TensorFlow's spelling, in old conversions
        short = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", short)
        plain[short] = name
    return plain
