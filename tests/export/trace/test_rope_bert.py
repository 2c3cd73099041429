"""Properties of the PyTorch RoPEBert that its golden cases do not show."""

import pytest
import torch

from strizh.export.trace import RoPEBertConfig, RoPEBertModel
from strizh.runtime.errors import UsageError

TRAINED = 8  # max_position_embeddings of the golden configuration
DYNAMIC = {"type": "dynamic", "factor": 2.0}
FLOAT32_NOISE = 1e-5  # some hundred roundings of 6e-8 on values of order one


def batch(*lengths: int, padded_to: int | None = None) -> dict[str, torch.Tensor]:
    """Rows of pseudo-random ids, 1 (pad) where the mask is 0."""
    width = padded_to or max(lengths)
    ids, mask = torch.ones(len(lengths), width, dtype=torch.int64), torch.zeros(len(lengths), width, dtype=torch.int64)
    for row, length in enumerate(lengths):
        ids[row, :length] = (torch.arange(length) * 7 + 3 * row + 2) % 48 + 2
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


@torch.no_grad()
def pooled(model: RoPEBertModel, **inputs: torch.Tensor) -> torch.Tensor:
    return model(**inputs).pooler_output


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=FLOAT32_NOISE)


def published_dynamic_base(length: int) -> float:
    """The formula with its branch, as the published module computes it on a fresh instance."""
    if length <= TRAINED:
        return 10000.0
    return 10000.0 * (2.0 * length / TRAINED - 1.0) ** (8 / 6)  # head size 8


@pytest.mark.parametrize("length", [1, TRAINED - 1, TRAINED, TRAINED + 1, 2 * TRAINED, 5 * TRAINED])
def test_dynamic_scaling_is_the_published_formula_on_both_sides_of_the_trained_length(length, write_checkpoint):
    checkpoint = write_checkpoint()
    dynamic = RoPEBertModel.from_pretrained(checkpoint, rope_scaling=DYNAMIC)
    by_hand = RoPEBertModel.from_pretrained(write_checkpoint(rope_theta=published_dynamic_base(length)))
    assert close(pooled(dynamic, **batch(length)), pooled(by_hand, **batch(length)))
    unscaled = RoPEBertModel.from_pretrained(checkpoint)
    assert close(pooled(dynamic, **batch(length)), pooled(unscaled, **batch(length))) == (length <= TRAINED)


def test_a_short_text_after_a_long_one_is_what_it_was_before(write_checkpoint):
    model = RoPEBertModel.from_pretrained(write_checkpoint(), rope_scaling=DYNAMIC)
    fresh = pooled(model, **batch(6))
    pooled(model, **batch(5 * TRAINED))
    assert torch.equal(pooled(model, **batch(6)), fresh)


def test_linear_scaling_applies_to_short_texts_too(write_checkpoint):
    checkpoint = write_checkpoint()
    linear = RoPEBertModel.from_pretrained(checkpoint, rope_scaling={"type": "linear", "factor": 2.0})
    inputs = batch(4)
    assert not close(pooled(linear, **inputs), pooled(RoPEBertModel.from_pretrained(checkpoint), **inputs))
    unscaled = RoPEBertModel.from_pretrained(checkpoint)
    # Unscaled positions 0, 2, 4, 6 halved are 0, 1, 2, 3.
    doubled = pooled(linear, **inputs, position_ids=torch.arange(0, 8, 2)[None])
    assert close(doubled, pooled(unscaled, **inputs))


@pytest.mark.parametrize("scaling", [None, DYNAMIC, {"type": "linear", "factor": 2.0}])
def test_padding_changes_nothing_where_it_may_not(scaling, write_checkpoint):
    model = RoPEBertModel.from_pretrained(write_checkpoint(), rope_scaling=scaling, ntk_length="text")
    together = pooled(model, **batch(3, 2 * TRAINED, TRAINED, 1, padded_to=3 * TRAINED))
    for row, length in enumerate((3, 2 * TRAINED, TRAINED, 1)):
        # The same tokens, alone.
        inputs = {name: tensor[row : row + 1, :length] for name, tensor in batch(3, 2 * TRAINED, TRAINED, 1).items()}
        assert close(pooled(model, **inputs), together[row : row + 1])


def test_batch_length_depends_on_the_neighbours_and_text_length_does_not(write_checkpoint):
    checkpoint = write_checkpoint()
    alone, beside_a_long_one = batch(6), batch(6, 4 * TRAINED)
    for ntk_length, same in (("batch", False), ("text", True)):
        model = RoPEBertModel.from_pretrained(checkpoint, rope_scaling=DYNAMIC, ntk_length=ntk_length)
        assert close(pooled(model, **alone), pooled(model, **beside_a_long_one)[:1]) == same


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_row_without_tokens_is_finite_and_pools_to_zero(attention, dtype, write_checkpoint):
    model = RoPEBertModel.from_pretrained(
        write_checkpoint(), rope_scaling=DYNAMIC, attn_implementation=attention, dtype=dtype
    )
    with torch.no_grad():
        output = model(**batch(5, 0))
    assert output.last_hidden_state.isfinite().all()
    assert torch.equal(output.pooler_output[1], torch.zeros(16))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_half_precision_weights_keep_float32_angles_and_pooling(attention, write_checkpoint):
    checkpoint = write_checkpoint()
    half = RoPEBertModel.from_pretrained(checkpoint, dtype=torch.float16, attn_implementation=attention)
    assert next(half.parameters()).dtype == torch.float16
    vectors = pooled(half, **batch(40))
    assert vectors.dtype == torch.float32
    full = pooled(RoPEBertModel.from_pretrained(checkpoint), **batch(40))
    # 2 layers of some ten fp16 roundings (5e-4) on values of order one.
    assert torch.allclose(vectors, full, rtol=0, atol=2 * 10 * 5e-4)


def test_float64_is_float64_throughout(write_checkpoint):
    model = RoPEBertModel.from_pretrained(write_checkpoint(), dtype=torch.float64, rope_scaling=DYNAMIC)
    assert pooled(model, **batch(5)).dtype == torch.float64


def test_the_first_token_pooler_is_tanh_of_its_dense(write_checkpoint):
    model = RoPEBertModel.from_pretrained(write_checkpoint(), pooler_type="first_token_transform")
    with torch.no_grad():
        output = model(**batch(4, 6))
        by_hand = torch.tanh(output.last_hidden_state[:, 0] @ model.pooler.dense.weight.T + model.pooler.dense.bias)
    assert close(output.pooler_output, by_hand)


def test_a_model_trains(write_checkpoint):
    model = RoPEBertModel.from_pretrained(write_checkpoint(), rope_scaling=DYNAMIC).train()
    model(**batch(4, 12)).pooler_output.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "given",
    [
        {"rope_theta": 500.0, "rope_scaling": {"type": "dynamic", "factor": 2}},
        {"rope_theta": 500.0, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0}},
    ],
)
def test_all_forms_of_the_rotary_settings_read_alike(given):
    config = RoPEBertConfig(**given)
    assert config.rope_parameters == {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0}
    assert RoPEBertConfig.from_dict(config.to_dict()).rope == config.rope


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "'yarn'; RoPEBert knows none, linear, dynamic"),
        ({"rope_scaling": {"type": "dynamic", "factor": 1.0}}, "factor is 1.0; dynamic scaling needs a number above 1"),
        ({"rope_scaling": {"type": "linear"}}, "factor is None"),
        ({"pooler_type": "max"}, "pooler_type is 'max'; RoPEBert knows mean, first_token_transform"),
        ({"ntk_length": "row"}, "ntk_length is 'row'; RoPEBert knows batch, text"),
        ({"hidden_size": 36}, "no even head size"),
    ],
)
def test_a_setting_that_rope_bert_does_not_have_is_refused(given, says):
    with pytest.raises(UsageError, match=says):
        RoPEBertConfig(**given)


def test_none_turns_a_configured_scaling_off_and_keeps_the_base(write_checkpoint):
    configured = write_checkpoint(rope_parameters={"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0})
    model = RoPEBertModel.from_pretrained(configured, rope_scaling=None)
    assert model.config.rope_parameters == {"rope_type": "default", "rope_theta": 500.0}
