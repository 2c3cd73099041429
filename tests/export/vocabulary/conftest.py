"""Checkpoints with tokenizers of each kind whose vocabulary can be cut."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

# The family beside a kind of tokenizer, as published models combine them.
FAMILIES = {"unigram": "xlm-roberta", "word-piece": "bert", "byte-level": "ropebert"}
ROWS = 510  # ten more than the tokenizer has tokens: multilingual-e5-small has 35


@pytest.fixture
def make_cuttable(make_checkpoint: Callable[..., Path], train_tokenizer: Callable[..., Tokenizer]) -> Callable[..., Path]:
    """`make_cuttable(kind, name=..., **config)`: a small random checkpoint; its last token is the mask, which a cut moves."""

    def make(kind: str, name: str = "checkpoint", **config: object) -> Path:
        sizes = {"vocab_size": ROWS, "max_position_embeddings": 300, "eos_token_id": 2}
        folder = make_checkpoint(FAMILIES[kind], config=sizes | config, name=name)
        tokenizer = train_tokenizer(kind)
        tokenizer.add_special_tokens(["<mask>"])
        tokenizer.save(str(folder / "tokenizer.json"))
        pad = "[PAD]" if kind == "word-piece" else "<pad>"
        last = tokenizer.token_to_id("<mask>")
        token = {"content": "<mask>", "special": True, "lstrip": False, "rstrip": False, "normalized": False}
        settings = {"pad_token": pad, "mask_token": "<mask>", "tokenizer_class": "PreTrainedTokenizerFast"}
        settings["added_tokens_decoder"] = {str(last): token | {"single_word": False}}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        config_path = folder / "config.json"
        config_path.write_text(json.dumps(json.loads(config_path.read_text()) | {"mask_token_id": last}))
        return folder

    return make
