"""`register()`: let transformers' Auto classes know RoPEBert.

The published checkpoints call themselves `model_type: "bert"`, and transformers chooses a config class by that word
alone. So the class registered for "bert" is a fork in the road: it reads the config and hands it to RoPEBertConfig or to
BertConfig. The models are registered for RoPEBertConfig, and whatever is registered for BertConfig stays.
"""

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
)

from strizh.export.trace.rope_bert.classifier import RoPEBertForSequenceClassification
from strizh.export.trace.rope_bert.config import RoPEBertConfig
from strizh.export.trace.rope_bert.masked_lm import RoPEBertForMaskedLM
from strizh.export.trace.rope_bert.model import RoPEBertModel


def is_rope_bert(config: dict[str, Any]) -> bool:
    """Whether a config.json of model_type "bert" is RoPEBert's, by its classes or by rotary settings, which BERT lacks."""
    classes = [*(config.get("architectures") or ()), *(config.get("auto_map") or {}).values()]
    named = any("RoPEBert" in str(name) for name in classes)
    return named or bool(config.get("rope_theta") or config.get("rope_parameters") or config.get("rope_scaling"))


class BertOrRoPEBertConfig(BertConfig):
    """Never instantiated: `from_dict` and the call give a BertConfig or a RoPEBertConfig."""

    def __new__(cls, **fields: Any) -> Any:
        return _config_class(fields)(**fields)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **overrides: Any) -> Any:
        return _config_class(config_dict).from_dict(config_dict, **overrides)


def _config_class(config: dict[str, Any]) -> Any:
    return RoPEBertConfig if is_rope_bert(config) else BertConfig


def register() -> None:
    """Make AutoConfig, AutoModel, AutoModelForSequenceClassification and AutoModelForMaskedLM load RoPEBert folders.

    For this process; calling it again changes nothing. RoPEBert folders then need no `trust_remote_code`, and do not
    run their remote code if it is given. Plain BERT folders load as before. One side effect: for another "bert" with
    remote code of its own, `trust_remote_code=True` still runs its model class, but over transformers' BertConfig.
    """
    AutoConfig.register("bert", BertOrRoPEBertConfig, exist_ok=True)
    AutoModel.register(RoPEBertConfig, RoPEBertModel, exist_ok=True)
    AutoModelForSequenceClassification.register(RoPEBertConfig, RoPEBertForSequenceClassification, exist_ok=True)
    AutoModelForMaskedLM.register(RoPEBertConfig, RoPEBertForMaskedLM, exist_ok=True)
