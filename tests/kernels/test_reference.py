"""The reference is the definition; here it meets definitions that others wrote down independently."""

import numpy as np
import pytest

from strizh.kernels import reference, relative

torch = pytest.importorskip("torch", reason="the reference is compared with PyTorch's own operators")


def test_activations_are_pytorchs() -> None:
    x = np.linspace(-12, 12, 4001)
    tensor = torch.from_numpy(x)
    functional = torch.nn.functional
    expected = {
        "gelu": functional.gelu(tensor),
        "gelu_tanh": functional.gelu(tensor, approximate="tanh"),
        "silu": functional.silu(tensor),
        "relu": functional.relu(tensor),
        "sigmoid": torch.sigmoid(tensor),
    }
    for kind, value in expected.items():
        np.testing.assert_allclose(reference.activate(x, kind), value.numpy(), rtol=0, atol=1e-14, err_msg=kind)


def test_attention_is_pytorchs() -> None:
    rng = np.random.default_rng(1)
    q, k, v = rng.normal(size=(7, 4, 8)), rng.normal(size=(7, 2, 8)), rng.normal(size=(7, 2, 8))
    seen = reference.visible(7, window=3, causal=True)
    tensors = [torch.from_numpy(x).transpose(0, 1)[None] for x in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=torch.from_numpy(seen), scale=0.3, enable_gqa=True
    )
    actual = reference.attention(q, k, v, scale=0.3, seen=seen)
    np.testing.assert_allclose(actual, expected[0].transpose(0, 1).numpy(), atol=1e-13)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 400])
def test_relative_buckets_are_t5s(length: int) -> None:
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5", reason="the buckets are transformers' T5's")
    distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    expected = t5.T5Attention._relative_position_bucket(distance, True, 32, 128).numpy()
    np.testing.assert_array_equal(relative.relative_buckets(length, buckets=32, max_distance=128), expected)


# Published: 256 buckets of 512 positions (deberta-v3, mdeberta-v3). Beyond the last bucket every distance is as far.
@pytest.mark.parametrize(("side", "reach"), [(256, 512), (256, 1024), (128, 512), (8, 20), (4, 32), (5, 17)])
def test_disentangled_rows_are_debertas(side: int, reach: int) -> None:
    deberta = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2", reason="the buckets are its own")
    distance = torch.arange(-3 * reach, 3 * reach + 1)
    expected = (deberta.make_log_bucket_position(distance, side, reach).long() + side).clamp(0, 2 * side - 1).numpy()
    found = relative.disentangled_rows(distance.numpy(), rows=2 * side, max_distance=reach)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        relative.disentangled_rows(distance.numpy(), rows=2 * side, max_distance=0),
        (distance + side).clamp(0, 2 * side - 1).numpy(),
    )


def test_dynamic_scaling_starts_at_the_trained_length() -> None:
    def at(length: int, scaling: str) -> reference.Array:
        return reference.inverse_frequencies(
            theta=1e4, dim=64, length=length, scaling=scaling, factor=2.0, trained_positions=512
        )

    np.testing.assert_array_equal(at(512, "dynamic"), at(512, "none"))
    assert (at(513, "dynamic")[1:] < at(512, "none")[1:]).all()


def test_pad_ids_do_not_count_in_xlm_r_positions() -> None:
    rows = reference.position_ids([0, 5, 1, 7, 0, 9], [0, 4, 6], pad=1)
    np.testing.assert_array_equal(rows, [2, 3, 1, 4, 2, 3])


def test_a_text_without_tokens_pools_to_zeros() -> None:
    hidden = np.ones((2, 3))
    for kind in ("mean", "cls", "max", "last", "mean_sqrt_len_tokens", "weightedmean"):
        pooled = reference.normalize(reference.pool(hidden, [0, 0, 2], kind))
        assert (pooled[0] == 0).all() and np.isclose(np.linalg.norm(pooled[1]), 1)
