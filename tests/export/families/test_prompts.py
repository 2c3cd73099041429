"""Prompts by model name: what each checkpoint stores, and that encode() puts before a text what sentence-transformers does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel

import strizh
from strizh.export import export_model
from strizh.runtime.errors import UsageError

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
TEXTS = ["Стриж летит над рекой.", "The swift never sleeps."]
_FRIDA = (
    "paraphrase",
    "search_query",
    "search_document",
    "categorize_sentiment",
    "categorize_topic",
    "categorize_entailment",
)
FRIDA = {name: f"{name}: " for name in _FRIDA}
E5 = {"query": "query: ", "passage": "passage: "}
# Model -> the prompts that its checkpoint stores and its default, those that a bundle of it has.
MODELS: dict[str, tuple[dict[str, str], str | None, dict[str, str]]] = {
    "FRIDA": (FRIDA, None, FRIDA),
    "rubert-mini-frida": (FRIDA | {"categorize": "categorize: "}, "categorize", FRIDA | {"categorize": "categorize: "}),
    "USER-base": (E5, "query", E5),
    "USER-bge-m3": ({}, None, {}),
    "multilingual-e5-small": ({}, None, E5),
    "multilingual-e5-large": ({}, None, E5),
    "multilingual-e5-large-instruct": ({}, None, {"query": "Instruct: {task}\nQuery: ", "passage": ""}),
    "my-multilingual-e5-small": ({}, None, {}),
}


@pytest.mark.parametrize("model", MODELS)
def test_prompts_are_those_of_sentence_transformers(model: str, publish: Callable[..., Path], tmp_path: Path) -> None:
    stored, default, expected = MODELS[model]
    folder = publish(BertModel(BertConfig(**SHAPE)), "word-piece", prompts=stored, default=default, name=model)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 128}))
    pooling = {"word_embedding_dimension": SHAPE["hidden_size"], "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    manifest = export_model(folder, tmp_path / "bundle", variants=["portable-fp32"])
    assert (manifest.prompts, manifest.default_prompt_name) == (expected, default)
    assert any("from the model's card" in note for note in manifest.warnings) == (stored != expected)
    theirs = SentenceTransformer(str(folder), device="cpu", prompts=expected or None, default_prompt_name=default)
    with strizh.load(tmp_path / "bundle") as encoder:

        def assert_same(**options: str) -> np.ndarray:
            found = encoder.encode(TEXTS, **options)  # type: ignore[arg-type]
            np.testing.assert_allclose(found, theirs.encode(TEXTS, **options), atol=1e-6)
            return found

        plain = assert_same(prompt="")
        usual = assert_same()
        assert np.array_equal(plain, usual) == (default is None)
        assert_same(prompt="вопрос: ")
        for name, text in expected.items():
            if "{task}" in text:
                with pytest.raises(UsageError, match=r"'query' is the template .*\.format\(task="):
                    encoder.encode(TEXTS, prompt_name=name)
                assert_same(prompt=encoder.prompts[name].format(task="Find the bird"))
            else:
                assert_same(prompt_name=name)
        with pytest.raises(UsageError, match="'question', this bundle has " + ("'" if expected else "none")):
            encoder.encode(TEXTS, prompt_name="question")
