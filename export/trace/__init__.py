"""PyTorch, and only here: the project's own RoPEBert, and export by tracing for encoders that have no family.

>>> from strizh.export.trace import RoPEBertModel, register, trace_model

Importing this changes nothing in transformers; `register()` does, on request.
"""

from strizh.export.trace.extra import require_extra

require_extra()

# The extra has to be asked for before anything imports it, so that its absence is one line and not a traceback.
from strizh.export.trace.rope_bert.classifier import RoPEBertForSequenceClassification  # noqa: E402
from strizh.export.trace.rope_bert.config import RoPEBertConfig  # noqa: E402
from strizh.export.trace.rope_bert.masked_lm import RoPEBertForMaskedLM  # noqa: E402
from strizh.export.trace.rope_bert.model import RoPEBertModel  # noqa: E402
from strizh.export.trace.rope_bert.register import register  # noqa: E402
from strizh.export.trace.trace_model import trace_model  # noqa: E402

__all__ = [
    "RoPEBertConfig",
    "RoPEBertForMaskedLM",
    "RoPEBertForSequenceClassification",
    "RoPEBertModel",
    "register",
    "trace_model",
]
