"""What every kernel test needs: each instruction set that this CPU runs, random layers, and plain low precision."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from strizh.kernels import instruction_sets, layout, library_path, reference, reference_int8, set_threads
from strizh.kernels.reference import Array

Weights = dict[str, Array]

# AMX is tested on every CPU, over tile registers in plain C++.
_ISAS = (*instruction_sets(), "amx_emulated") if library_path() else ()


def pytest_report_header() -> str:
    """Which paths this run tests, so that one that is missing is seen."""
    return f"instruction sets: {', '.join(_ISAS) or 'none, the kernels were not built'}"


@pytest.fixture(params=_ISAS or [pytest.param("", marks=pytest.mark.skip(reason="the kernels were not built"))])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on every instruction set of this CPU."""
    from strizh.kernels import native

    native.use_isa(request.param)
    yield request.param
    native.use_isa("")


@pytest.fixture(autouse=True)
def all_threads() -> Iterator[None]:
    """Leaves the number of threads as it was."""
    yield
    if _ISAS:
        set_threads(None)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)


@pytest.fixture
def random_layer(rng: np.random.Generator) -> Callable[..., Weights]:
    """Makes the weights of a layer: random_layer(hidden, heads, kv_heads, head_size, intermediate, ...)."""

    def make(
        hidden: int, heads: int, kv_heads: int, head_size: int, intermediate: int, *, gated: bool = False,
        bias: bool = True, norms: tuple[str, ...] = ("attention", "mlp"), head_norm: bool = False, buckets: int = 0,
    ) -> Weights:  # fmt: skip
        sizes = {
            "attention.q": (heads * head_size, hidden), "attention.k": (kv_heads * head_size, hidden),
            "attention.v": (kv_heads * head_size, hidden), "attention.o": (hidden, heads * head_size),
            "mlp.up": (intermediate, hidden), "mlp.down": (hidden, intermediate),
        }  # fmt: skip
        if gated:
            sizes["mlp.gate"] = (intermediate, hidden)
        weights = {f"{name}.weight": rng.normal(size=s) / np.sqrt(s[1]) for name, s in sizes.items()}
        if bias:
            weights |= {f"{name}.bias": 0.1 * rng.normal(size=s[0]) for name, s in sizes.items()}
        for name in norms:
            weights[f"{name}.norm.weight"] = 1 + 0.1 * rng.normal(size=hidden)
            if bias:
                weights[f"{name}.norm.bias"] = 0.1 * rng.normal(size=hidden)
        if head_norm:
            weights |= {f"attention.{side}_norm.weight": 1 + 0.1 * rng.normal(size=head_size) for side in "qk"}
        if buckets:
            weights["relative_bias"] = rng.normal(size=(buckets, heads))
        return weights

    return make


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Array]:
    """Runs a function of the reference with the operands of every product in low precision.

    That is what the plainest implementation in float32 or bf16 would give: a kernel may err twice as much.
    `smoothing` has what int8 products divide their input by: pairs of a weight, the very array, and its vector.
    """

    def run(
        precision: str,
        function: Callable[..., Array],
        *args: Any,
        smoothing: Sequence[tuple[Any, Array]] = (),
        **options: Any,
    ) -> Array:
        exact_linear, exact_attention = reference.linear, reference.attention

        def lower(x: Any) -> Any:
            if precision == "fp32":
                return np.asarray(x, np.float32)
            return (layout.to_bf16(x).astype(np.uint32) << 16).view(np.float32)

        def linear(x: Any, weight: Any, bias: Any = None) -> Array:
            if precision == "fp32":
                product = (lower(x) @ lower(weight).T).astype(np.float64)
                return product if bias is None else product + bias
            if precision == "int8":
                return reference_int8.linear_int8(x, weight, bias, next((s for w, s in smoothing if w is weight), 1.0))
            return exact_linear(lower(x), lower(weight), bias)

        def attention(q: Any, k: Any, v: Any, **rest: Any) -> Array:
            return exact_attention(lower(q), lower(k), lower(v), **rest)

        with monkeypatch.context() as patch:
            patch.setattr(reference, "linear", linear)
            patch.setattr(reference, "attention", attention)
            return function(*args, **options)

    return run
