"""What an encoder has to compute, and its share of a ceiling."""

from typing import Any

import pytest

from benchmarks import roofline
from benchmarks.installed import installed_bytes
from benchmarks.workloads import equal

BASE = {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072}


def test_operations_count_every_product_of_the_layers() -> None:
    hidden, inner, length = 768, 3072, 128
    projections = 4 * length * hidden * hidden  # q, k, v, output
    feed_forward = 2 * length * hidden * inner
    attention = 2 * length * length * hidden  # QK^T and PV, all heads
    assert roofline.flops(BASE, [length]) == 12 * 2 * (projections + feed_forward + attention)


def test_a_query_is_bound_by_memory_and_a_batch_by_the_instructions() -> None:
    ceiling = {"bf16": 470e9, "memory": 50e9}
    weights = 12 * (4 * 768**2 + 2 * 768 * 3072) * 2
    assert roofline.floor_seconds(BASE, [1], "bf16", ceiling) == pytest.approx(weights / 50e9)
    assert roofline.floor_seconds(BASE, [128] * 16, "bf16", ceiling) == pytest.approx(
        roofline.flops(BASE, [128] * 16) / 470e9
    )


@pytest.mark.parametrize(("share", "verdict"), [(0.5, "short"), (0.85, "PASS"), (0.95, "aim met")])
def test_shares_are_held_to_their_goal(share: float, verdict: str) -> None:
    case = equal(16, 128)
    seconds = roofline.flops(BASE, case.lengths) / 470e9 / share
    row: dict[str, Any] = {
        "model": "base", "contender": "strizh cpu-bf16", "case": "16x128", "precision": "bf16",
        "rounds": [{"median": seconds}],
    }  # fmt: skip
    ceiling = {"bf16": 470e9, "memory": 50e9}
    (found,) = roofline.shares([row], [case], {"base": {"shape": BASE}}, ceiling, "avx512_bf16")
    assert found["share"] == pytest.approx(share)
    assert found["verdict"] == verdict


def test_an_installation_weighs_what_it_requires_as_well() -> None:
    found = installed_bytes(["strizh"])
    assert {"strizh", "onnxruntime", "numpy", "tokenizers"} <= set(found)
    assert "torch" not in found  # an extra is no requirement
    assert found["strizh"] > 100_000
