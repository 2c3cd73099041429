"""The PyTorch RoPEBert gives what the published module gave, in all seven recorded variants."""

import json
from pathlib import Path

import pytest
import torch

from strizh.export.trace import RoPEBertForSequenceClassification, RoPEBertModel

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "ropebert.json").read_text())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_case(case, attention, write_checkpoint):
    classifies = case["what"] == "logits"
    model_class = RoPEBertForSequenceClassification if classifies else RoPEBertModel
    overrides = {**case["overrides"], **({"num_labels": 3} if classifies else {})}
    model = model_class.from_pretrained(write_checkpoint(), attn_implementation=attention, **overrides)
    assert model.config._attn_implementation == attention
    with torch.no_grad():
        output = model(torch.tensor(case["input_ids"]), torch.tensor(case["attention_mask"]))
    torch.testing.assert_close(output[case["what"]], torch.tensor(case["expected"]), atol=1e-5, rtol=0)
