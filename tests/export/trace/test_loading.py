"""`from_pretrained` uses or names every tensor."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from transformers.utils import logging as transformers_logging

from strizh.export.trace import RoPEBertForMaskedLM, RoPEBertForSequenceClassification, RoPEBertModel
from strizh.runtime.errors import CheckpointError

IDS = torch.tensor([[2, 8, 15, 22, 3]])


def without_prefix(tensors):
    return {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}


def with_old_norm_names(tensors):
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def rename(name):
        for new_leaf, old_leaf in old.items():
            name = name.replace(new_leaf, old_leaf)
        return name

    return {rename(name): tensor for name, tensor in tensors.items()}


def with_other_heads(tensors):
    hidden = np.zeros((16, 16), np.float32)
    return {
        **tensors,
        "cls.predictions.bias": np.zeros(50, np.float32),
        "cls.predictions.transform.dense.weight": hidden,
        "bert.embeddings.position_ids": np.arange(8)[None],
    }


def encoder_only(tensors):
    return {name: tensor for name, tensor in tensors.items() if "pooler" not in name and "classifier" not in name}


def vector(model):
    with torch.no_grad():
        return model(IDS).pooler_output


@pytest.mark.parametrize("change", [without_prefix, with_old_norm_names, with_other_heads, encoder_only])
def test_names_as_they_are_found_in_the_wild_give_the_same_model(change, write_checkpoint):
    expected = vector(RoPEBertModel.from_pretrained(write_checkpoint()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = RoPEBertModel.from_pretrained(write_checkpoint(change))
    assert torch.equal(vector(model), expected)


def test_the_classifier_loads_from_a_checkpoint_without_prefix(write_checkpoint):
    def logits(folder):
        model = RoPEBertForSequenceClassification.from_pretrained(folder, num_labels=3)
        with torch.no_grad():
            return model(IDS).logits

    assert torch.equal(logits(write_checkpoint(without_prefix)), logits(write_checkpoint()))


def test_fp16_weights_load_as_fp16_unless_asked_otherwise(tiny_ru):
    assert RoPEBertModel.from_pretrained(tiny_ru).dtype == torch.float16
    assert RoPEBertModel.from_pretrained(tiny_ru, dtype=torch.float32).dtype == torch.float32


def test_all_missing_surplus_and_misshapen_tensors_are_in_one_error(write_checkpoint):
    def spoil(tensors):
        del tensors["bert.encoder.layer.0.attention.self.query.weight"]
        del tensors["bert.embeddings.LayerNorm.bias"]
        tensors["bert.embeddings.position_embeddings.weight"] = np.zeros((8, 16), np.float32)
        tensors["bert.encoder.layer.1.output.dense.weight"] = np.zeros((16, 25), np.float32)
        return tensors

    with pytest.raises(CheckpointError) as error:
        RoPEBertModel.from_pretrained(write_checkpoint(spoil))
    message = str(error.value)
    assert "missing: embeddings.LayerNorm.bias, encoder.layer.0.attention.self.query.weight" in message
    assert "surplus: bert.embeddings.position_embeddings.weight" in message
    assert "of another shape: encoder.layer.1.output.dense.weight is [16, 25] instead of [16, 24]" in message
    assert "\n" not in message


def test_a_plain_bert_checkpoint_is_refused_by_its_position_table(write_checkpoint):
    def as_bert(tensors):
        return {**tensors, "bert.embeddings.position_embeddings.weight": np.zeros((8, 16), np.float32)}

    for model_class in (RoPEBertModel, RoPEBertForSequenceClassification, RoPEBertForMaskedLM):
        with pytest.raises(CheckpointError, match=r"surplus: .*position_embeddings"):
            model_class.from_pretrained(write_checkpoint(as_bert))


@pytest.mark.parametrize(
    ("model_class", "overrides", "new"),
    [
        (RoPEBertModel, {"pooler_type": "first_token_transform"}, "pooler.dense.bias, pooler.dense.weight"),
        (RoPEBertForSequenceClassification, {"num_labels": 4}, "classifier.bias, classifier.weight"),
        (RoPEBertForMaskedLM, {}, "cls.predictions.bias, cls.predictions.transform.LayerNorm.bias"),
    ],
)
def test_a_head_that_the_checkpoint_lacks_is_created_with_a_warning_that_names_it(
    model_class, overrides, new, write_checkpoint
):
    garbage = [torch.full((64, 64), torch.nan) for _ in range(64)]  # what a forgotten initialisation would find
    del garbage
    with pytest.warns(UserWarning, match=f"{new}.*start at random"):
        model = model_class.from_pretrained(write_checkpoint(encoder_only), **overrides)
    created = {name: tensor for name, tensor in model.state_dict().items() if name in new.split(", ")}
    assert created
    for name, tensor in created.items():
        assert tensor.abs().max() < 1.01, name  # zeros, ones, or normal with a deviation of 0.02
        assert not name.endswith("bias") or not tensor.any(), name


def test_a_classifier_of_another_size_is_an_error_unless_a_new_one_is_asked_for(write_checkpoint):
    folder = write_checkpoint()
    with pytest.raises(CheckpointError, match=r"classifier\.weight is \[3, 16\] instead of \[5, 16\]"):
        RoPEBertForSequenceClassification.from_pretrained(folder, num_labels=5)
    with pytest.warns(UserWarning, match="classifier.bias, classifier.weight"):
        model = RoPEBertForSequenceClassification.from_pretrained(folder, num_labels=5, ignore_mismatched_sizes=True)
    assert model.classifier.out_features == 5


def test_the_label_count_that_is_asked_for_replaces_the_checkpoints_names(write_checkpoint):
    folder = write_checkpoint(id2label={"0": "нет", "1": "да"}, label2id={"нет": 0, "да": 1})
    assert RoPEBertForSequenceClassification.from_pretrained(folder, num_labels=3).config.num_labels == 3


def test_masked_lm_scores_with_the_word_embeddings(write_checkpoint):
    rng = np.random.default_rng(0)

    def with_head(tensors):
        head = {
            "bias": (50,),
            "transform.dense.weight": (16, 16),
            "transform.dense.bias": (16,),
            "transform.LayerNorm.weight": (16,),
            "transform.LayerNorm.bias": (16,),
        }
        named = {f"cls.predictions.{name}": rng.normal(size=size).astype(np.float32) for name, size in head.items()}
        # Old saves also stored the tied decoder.
        return {**tensors, **named, "cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"]}

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = RoPEBertForMaskedLM.from_pretrained(write_checkpoint(with_head))
    with torch.no_grad():
        logits = model(IDS).logits
        hidden = model.cls.predictions.transform(model.bert(IDS).last_hidden_state)
    assert logits.shape == (1, 5, 50)
    by_hand = hidden @ model.bert.embeddings.word_embeddings.weight.T + model.cls.predictions.bias
    torch.testing.assert_close(logits, by_hand)


@pytest.mark.parametrize("model_class", [RoPEBertModel, RoPEBertForSequenceClassification, RoPEBertForMaskedLM])
def test_what_is_saved_loads_again_whole(model_class, write_checkpoint, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = model_class.from_pretrained(
            write_checkpoint(), rope_scaling={"type": "linear", "factor": 4.0}, num_labels=3
        )
    model.save_pretrained(tmp_path / "saved")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again = model_class.from_pretrained(tmp_path / "saved")
    assert again.config.rope == model.config.rope
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_sharded_weights_load(write_checkpoint, tmp_path):
    folder = write_checkpoint()
    model = RoPEBertModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="4KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    assert torch.equal(vector(RoPEBertModel.from_pretrained(tmp_path / "sharded")), vector(model))


def test_a_pickled_checkpoint_loads_as_weights_only(write_checkpoint, tmp_path):
    folder = write_checkpoint()
    model = RoPEBertModel.from_pretrained(folder)
    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    (pickled / "model.safetensors").unlink()
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    assert torch.equal(vector(RoPEBertModel.from_pretrained(pickled)), vector(model))


def test_loading_is_silent_and_leaves_the_callers_bars_alone(tiny_ru, capfd):
    assert transformers_logging.is_progress_bar_enabled()
    RoPEBertModel.from_pretrained(tiny_ru)
    assert capfd.readouterr() == ("", "")
    assert transformers_logging.is_progress_bar_enabled()
