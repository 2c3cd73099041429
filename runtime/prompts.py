"""Prompts as in sentence-transformers: literal text put in front of each text before it is tokenized."""

from collections.abc import Mapping

from strizh.runtime.errors import UsageError

TASK = "{task}"  # what an instruct template holds in the place of the instruction


def resolve_prompt(
    prompts: Mapping[str, str], default_name: str | None, *, prompt: str | None, prompt_name: str | None
) -> str:
    """The text to put in front: `prompt` wins, then the one that `prompt_name` names, then the checkpoint's default.

    `prompt=""` asks for none. An unknown name is a `UsageError` that lists the known ones, and so is a template, which
    holds `{task}` for the caller to fill.
    """
    if prompt is not None:
        if not isinstance(prompt, str):
            raise UsageError(f"prompt is of type {type(prompt).__name__}, expected a string such as 'query: '")
        return prompt
    name = default_name if prompt_name is None else prompt_name
    text = "" if name is None else named_prompt(prompts, name)
    if TASK in text:
        raise UsageError(
            f"prompt {name!r} is the template {text!r}. Say what the task is: prompt=encoder.prompts[{name!r}].format(task='...')"
        )
    return text


def named_prompt(prompts: Mapping[str, str], name: str) -> str:
    """The prompt of this name, a template as it stands. An unknown name is a `UsageError` that lists the known ones."""
    if not isinstance(name, str) or name not in prompts:
        known = ", ".join(repr(name) for name in prompts) or "none"
        raise UsageError(f"prompt_name is {name!r}, this bundle has {known}. Use one of those, or prompt= with the text")
    return prompts[name]
