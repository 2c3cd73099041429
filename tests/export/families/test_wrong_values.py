"""A wrong value in a checkpoint's config.json is named with its key, whichever family reads it."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strizh.export.checkpoint import Checkpoint, read_checkpoint
from strizh.export.families import FAMILIES, bert, find_family
from strizh.export.settings import Settings
from strizh.export.spec import EncoderSpec
from strizh.runtime.errors import CheckpointError, Error

MakeCheckpoint = Callable[..., Path]

SIZES: dict[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "vocab_size": 40,
    "max_position_embeddings": 32, "type_vocab_size": 1, "architectures": ["AnyForSequenceClassification"],
}  # fmt: skip
LLAMA = SIZES | {"rms_norm_eps": 1e-6, "head_dim": 8, "num_key_value_heads": 1}
DISENTANGLED = {"relative_attention": True, "pos_att_type": "p2c|c2p", "position_biased_input": False}
# One config of each family, after what tells it apart.
CONFIGS: dict[str, dict[str, Any]] = {
    "ropebert": SIZES | {"model_type": "bert", "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "bert": SIZES | {"model_type": "bert"},
    "xlm-roberta": SIZES | {"model_type": "xlm-roberta"},
    "deberta": SIZES | {"model_type": "deberta"},
    "deberta-v2": SIZES | {"model_type": "deberta-v2", "position_buckets": 8, "share_att_key": True} | DISENTANGLED,
    "t5": {"model_type": "t5", "vocab_size": 40, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_heads": 3, "num_layers": 2},
    "modernbert": SIZES | {"model_type": "modernbert", "local_rope_theta": 1e4},
    "nomic_bert": {
        "model_type": "nomic_bert", "vocab_size": 40, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_inner": 40,
        "n_positions": 32, "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_scaling_factor": 2.0,
    },
    "gte": SIZES | {"model_type": "new", "rope_scaling": {"type": "ntk", "factor": 8.0}},
    "eurobert": LLAMA | {"model_type": "eurobert"},
    "qwen3": LLAMA | {"model_type": "qwen3"},
    "jina-embeddings-v3": SIZES | {"model_type": "xlm-roberta", "position_embedding_type": "rotary"},
}  # fmt: skip
LEARNED = ("bert", "xlm-roberta", "deberta")  # positions
WRONG = ("768", "", -1, 0, 1, 2.5, 1e300, 10**30, math.nan, math.inf, True, None, [], ["x"], {}, {"x": 1})


class Recording(dict[str, Any]):
    """A config that knows what it was asked for."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


@pytest.fixture
def opened(make_checkpoint: MakeCheckpoint) -> Callable[[str, dict[str, Any]], Checkpoint]:
    """`opened(family, config)`: a checkpoint whose tokenizer has no pad token, so that the config's counts."""
    whole = read_checkpoint(make_checkpoint("bert"))
    tokenizer = dataclasses.replace(whole.tokenizer, pad_token_id=None)

    def make(family: str, fields: dict[str, Any]) -> Checkpoint:
        names = {bert.POSITION_TABLE: "table"} if family in LEARNED else {}
        return dataclasses.replace(whole, config=Settings("config.json", fields), names=names, tokenizer=tokenizer)

    return make


def described(checkpoint: Checkpoint) -> EncoderSpec:
    family = find_family(checkpoint)
    spec = family.describe(checkpoint)
    family.sources(checkpoint, spec)
    return spec


def test_each_family_has_a_config_here() -> None:
    assert set(CONFIGS) == {family.NAME for family in FAMILIES}


@pytest.mark.parametrize("family", CONFIGS)
def test_every_field_that_a_family_reads_is_named_where_its_value_is_of_no_kind(
    opened: Callable[[str, dict[str, Any]], Checkpoint], family: str
) -> None:
    fields = Recording(CONFIGS[family])
    assert described(opened(family, fields)).family == family
    assert fields.asked >= {"model_type", "vocab_size"}
    for key in sorted(fields.asked):
        with pytest.raises(Error, match=rf"config\.json.*\b{key}\b") as caught:
            described(opened(family, CONFIGS[family] | {key: [[1]]}))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", CONFIGS)
def test_any_value_is_described_or_refused_in_one_line(
    opened: Callable[[str, dict[str, Any]], Checkpoint], family: str
) -> None:
    fields = Recording(CONFIGS[family])
    described(opened(family, fields))
    refused = 0
    for key in sorted(fields.asked):
        for value in WRONG:
            checkpoint = opened(family, CONFIGS[family] | {key: value})
            try:
                spec = described(checkpoint)
            except Error as error:
                refused += 1
                assert "\n" not in str(error), (key, value)
            else:
                assert math.isfinite(spec.norm_eps) and spec.norm_eps > 0, (key, value)
                assert all(0 < rope.theta < math.inf and 0 < rope.factor < math.inf for rope in spec.ropes), (
                    key,
                    value,
                )
    assert refused > 5 * len(fields.asked)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({"rope_scaling": {"type": "ntk", "factor": factor}}, "factor") for factor in (0.5, 1, 1e9, None)),
        ({"num_attention_heads": 8}, "the heads have 3 numbers"),
    ],
)
def test_a_scaling_of_a_familys_own_has_the_bounds_of_every_one(
    opened: Callable[[str, dict[str, Any]], Checkpoint], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        described(opened("gte", CONFIGS["gte"] | changes))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("sentence_bert_config.json", '{"max_seq_length": "512"}', 'has max_seq_length "512"; expected a whole number'),
        ("sentence_bert_config.json", '{"do_lower_case": "no"}', 'has do_lower_case "no"; expected true or false'),
        (
            "1_Pooling/config.json",
            '{"pooling_mode_mean_tokens": "yes"}',
            "has pooling_mode_mean_tokens .*true or false",
        ),
        ("1_Pooling/config.json", '{"pooling_mode": 3}', "has pooling_mode 3; expected a list of strings"),
        ("modules.json", "[1]", "is no list of objects"),
        (
            "modules.json",
            '[{"idx": "x", "type": "a.Transformer"}]',
            r'modules\.json: \[0\] has idx "x"; expected a whole',
        ),
        ("modules.json", '[{"idx": 0}]', r"modules\.json: \[0\] has no type; expected a string"),
        ("modules.json", '[{"type": "a.Transformer", "path": 1}]', "has path 1; expected a string"),
        ("config_sentence_transformers.json", '{"prompts": ["query: "]}', "has prompts .*; expected an object"),
        ("config_sentence_transformers.json", '{"prompts": {"query": 1}}', "prompts has query 1; expected a string"),
        (
            "config_sentence_transformers.json",
            '{"default_prompt_name": 1}',
            "has default_prompt_name 1; expected a string",
        ),
        ("tokenizer_config.json", '{"model_max_length": "512"}', 'has model_max_length "512"; expected a whole number'),
        ("tokenizer_config.json", '{"pad_token": 1}', "has pad_token 1; expected a string"),
        ("special_tokens_map.json", '{"pad_token": {"content": 1}}', "pad_token has content 1; expected a string"),
        ("config.json", "[" * 100_000, "is not readable JSON"),
    ],
)
def test_so_are_the_fields_of_the_files_beside_it(
    make_checkpoint: MakeCheckpoint, add_modules: Callable[..., None], file: str, content: str, said: str
) -> None:
    folder = make_checkpoint("bert")
    add_modules(folder, {"pooling_mode_mean_tokens": True})
    (folder / "tokenizer_config.json").unlink()
    (folder / file).write_text(content)
    with pytest.raises(CheckpointError, match=said) as caught:
        read_checkpoint(folder)
    assert Path(file).name in str(caught.value)
