"""`register()` teaches transformers' Auto classes RoPEBert and leaves BERT alone.

It changes a process for good, so all of it is observed in one child process, whose findings the tests then judge.
"""

import json
import subprocess
import sys

import pytest

OBSERVE = """
import json, sys
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING

rope, bert, saved = sys.argv[1:]
AUTO = [AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoModelForMaskedLM]
config = transformers.BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                 intermediate_size=24, max_position_embeddings=12)
transformers.BertForMaskedLM(config).save_pretrained(bert)

def classes(folder, **kwargs):
    return [type(auto.from_pretrained(folder, **kwargs)).__name__ for auto in AUTO]

def registry():
    return [CONFIG_MAPPING["bert"].__module__, len(CONFIG_MAPPING.keys()), len(MODEL_MAPPING._extra_content)]

found = {"registry before import": registry(), "bert before": classes(bert)}
table = AutoModel.from_pretrained(bert).embeddings.position_embeddings.weight

import strizh.export.trace
found["registry after import"] = registry()

strizh.export.trace.register()
found["registry after register"] = registry()
strizh.export.trace.register()
found["registry after another"] = registry()

found["rope"] = classes(rope)
found["rope, remote code refused"] = classes(rope, trust_remote_code=False)
found["rope, remote code allowed"] = classes(rope, trust_remote_code=True)
model = AutoModelForSequenceClassification.from_pretrained(
    rope, rope_scaling={"type": "dynamic", "factor": 2.0}, pooler_type="first_token_transform", num_labels=5,
    attn_implementation="eager", dtype="float32")
config = model.config
found["arguments"] = [config.rope.scaling, config.pooler_type, config.num_labels, config._attn_implementation,
                      str(model.dtype)]
AutoModel.from_pretrained(rope).save_pretrained(saved)
found["rope, saved again"] = classes(saved)
found["rope tokenizer"] = AutoTokenizer.from_pretrained(rope)("Стриж летит").input_ids

found["bert after"] = classes(bert)
now = AutoModel.from_pretrained(bert).embeddings.position_embeddings.weight
found["bert keeps its positions"] = bool((now == table).all())
config = AutoConfig.for_model("bert", vocab_size=7)
found["bert by name"] = [type(config).__name__, config.vocab_size]
print(json.dumps(found))
"""
ROPE = ["RoPEBertConfig", "RoPEBertModel", "RoPEBertForSequenceClassification", "RoPEBertForMaskedLM"]
BERT = ["BertConfig", "BertModel", "BertForSequenceClassification", "BertForMaskedLM"]


@pytest.fixture(scope="module")
def found(tiny_ru, tmp_path_factory):
    folders = [tiny_ru, tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("saved")]
    child = subprocess.run([sys.executable, "-c", OBSERVE, *map(str, folders)], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


def test_importing_alone_changes_nothing(found):
    assert found["registry after import"] == found["registry before import"]


def test_registering_twice_is_registering_once(found):
    assert found["registry after register"] != found["registry after import"]
    assert found["registry after another"] == found["registry after register"]


@pytest.mark.parametrize("how", ["rope", "rope, remote code refused", "rope, remote code allowed", "rope, saved again"])
def test_rope_bert_loads_with_our_classes(how, found):
    assert found[how] == ROPE


def test_our_arguments_reach_the_model(found):
    assert found["arguments"] == ["dynamic", "first_token_transform", 5, "eager", "torch.float32"]


def test_a_plain_bert_is_still_bert(found):
    assert found["bert after"] == found["bert before"] == BERT
    assert found["bert keeps its positions"]
    assert found["bert by name"] == ["BertConfig", 7]


def test_the_tokenizer_loads_beside_the_model(found):
    assert found["rope tokenizer"][0] == 0  # <s>
    assert found["rope tokenizer"][-1] == 2  # </s>
