"""Each operator of the CPU library beside what bounds it: the matrix instruction's ceiling, or reading memory."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import ceiling, machine, tables
from benchmarks.geometries import GEOMETRIES, Geometry
from benchmarks.names import choose
from benchmarks.quiet import Watch, spin
from benchmarks.rounds import Method
from benchmarks.suites import Settings, blank
from strizh import kernels
from strizh.kernels import native

HELP = "each CPU operator beside its roofline (measured ceilings of the instructions, read bandwidth)"
MODELS = ("mini", "e5-small", "base")
HEEDS = ()

_RAGGED = np.clip(np.random.default_rng(5).lognormal(4.2, 1.0, 64).astype(int), 4, 512).tolist()
CASES = {
    "1 x 16": [16],
    "1 x 128": [128],
    "16 x 128": [128] * 16,
    "4 x 512": [512] * 4,
    "64 ragged": _RAGGED,
    "1 x 2048": [2048],
}
_BYTES = {"fp32": 4, "bf16": 2, "int8": 1}  # of a weight
_HEADS = ("operator", "tokens", "ms", "GFLOP/s", "of ceiling", "GB/s", "of memory")


def run(settings: Settings) -> dict[str, Any]:
    """One table a model and precision. The layers are as many as the model's, so that weights come from memory."""
    geometries = choose("geometry", settings.models, list(GEOMETRIES), lambda name: (name,))
    facts = machine.describe()
    limits = ceiling.measure(facts["flags"], settings.threads)
    kernels.set_threads(settings.threads)
    result = blank(settings) | {"instruction_set": kernels.instruction_set(), "ceiling": limits}
    timer = _Timer(settings.method, Watch(), result["thrown_away"])
    for model in geometries:
        for precision in _BYTES:
            settings.say(f"{model} {precision}")
            result["rows"] += _rows(model, GEOMETRIES[model], precision, timer, limits)
    return result


def show(result: dict[str, Any]) -> list[str]:
    """The ceilings, and a table for each model and precision."""
    return ["\n".join(_titles(result)), *tables.by_model(result, _table)]


def _titles(result: dict[str, Any]) -> list[str]:
    limits = result["ceiling"]
    known = ", ".join(f"{name} {rate / 1e9:.0f} GOP/s" for name, rate in limits.items() if name != "memory")
    return [
        f"instruction set {result['instruction_set']}; median of turns of one pass",
        f"ceilings, all cores: {known}; memory reads {limits['memory'] / 1e9:.0f} GB/s",
        "GFLOP/s count the products of the model's own sizes, not what is padded; GB/s count weights and rows once",
        "int8: the four linear products of a layer; its attention is bf16, and counts against the int8 ceiling all the same",
    ]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    return tables.table(_HEADS, [_line(row) for row in rows])


def _line(row: dict[str, Any]) -> list[str]:
    def share(name: str) -> str:
        return f"{row[name]:.0%}" if row[name] is not None else ""

    if row["seconds"] is None:
        return [row["case"], str(row["tokens"]), "no quiet turn in time", "", "", "", ""]
    flops = f"{row['flops'] / row['seconds'] / 1e9:.0f}" if row["flops"] else ""
    speed = f"{row['bytes'] / row['seconds'] / 1e9:.1f}"
    return [
        row["case"],
        str(row["tokens"]),
        f"{row['seconds'] * 1e3:.2f}",
        flops,
        share("of_ceiling"),
        speed,
        share("of_memory"),
    ]


def _rows(
    model: str, geometry: Geometry, precision: str, timer: "_Timer", limits: dict[str, float]
) -> Iterator[dict[str, Any]]:
    layers = [_layer(geometry, precision, seed) for seed in range(geometry.layers)]
    size, inner = geometry.hidden_size, geometry.intermediate_size
    weights = geometry.layers * (4 * size * size + 2 * size * inner)
    rng = np.random.default_rng(0)

    def row(case: str, lengths: list[int], job: Callable[[], Any], flops: float, moved: float) -> dict[str, Any]:
        turns = timer.turns(f"{model} {precision}, {case}", job)
        seconds = float(np.median(turns)) if turns else None
        top = limits.get(precision)
        return {
            "model": f"{model} {precision}", "case": case, "tokens": sum(lengths), "rounds": turns, "seconds": seconds,
            "flops": flops, "bytes": moved, "of_ceiling": flops / seconds / top if flops and seconds and top else None,
            "of_memory": moved / seconds / limits["memory"] if seconds else None,
        }  # fmt: skip

    for case, lengths in CASES.items():
        tokens, cu_seqlens = sum(lengths), np.cumsum([0, *lengths])
        hidden = rng.standard_normal((tokens, size), dtype=np.float32)

        def encode(hidden: Any = hidden, cu_seqlens: Any = cu_seqlens) -> None:
            for layer in layers:
                hidden = layer(hidden, cu_seqlens)

        attention = sum(4 * length * length * size for length in lengths) * geometry.layers
        flops = 2 * weights * tokens + attention
        moved = weights * _BYTES[precision] + geometry.layers * 8 * tokens * size
        yield row(f"{geometry.layers} layers, {case}", lengths, encode, flops, moved)
    if precision != "fp32":
        return  # the rest is float32 in every variant but for the tables of words
    tokens, cu_seqlens = sum(_RAGGED), np.cumsum([0, *_RAGGED])
    hidden = rng.standard_normal((tokens, size), dtype=np.float32)
    word, ids = rng.standard_normal((32000, size), dtype=np.float32), rng.integers(0, 32000, tokens)
    ones, zeros, rows = np.ones(size), np.zeros(size), 4 * tokens * size
    yield row("embeddings", _RAGGED, lambda: native.embeddings(ids, cu_seqlens, word), 0, 2 * rows)
    yield row("norm", _RAGGED, lambda: native.norm(hidden, ones, zeros, kind="layer_norm", eps=1e-12), 0, 2 * rows)
    yield row("pooling, mean", _RAGGED, lambda: native.pool(hidden, cu_seqlens, "mean"), 0, rows)
    yield row("normalize", _RAGGED, lambda: native.normalize(hidden), 0, 2 * rows)


def _layer(geometry: Geometry, precision: str, seed: int) -> native.EncoderLayer:
    rng = np.random.default_rng(seed)
    size, inner, head_size = geometry.hidden_size, geometry.intermediate_size, geometry.hidden_size // geometry.heads
    shapes = {f"attention.{name}": (size, size) for name in "qkvo"} | {
        "mlp.up": (inner, size),
        "mlp.down": (size, inner),
    }
    weights: dict[str, Any] = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = rng.standard_normal(shape, dtype=np.float32) * 0.5 / np.sqrt(shape[1])
        weights[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    weights |= {f"{name}.norm.weight": np.ones(size) for name in ("attention", "mlp")}
    return native.EncoderLayer(
        weights, head_size=head_size, activation="gelu", attention_scale=head_size**-0.5, norm_kind="layer_norm",
        norm_eps=1e-12, rope={"theta": 10000.0, "dim": head_size}, precision=precision,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Timer:
    """Medians of turns, by the rule of `quiet`: a turn that something disturbed is taken again, or missing."""

    method: Method
    watch: Watch
    thrown_away: list[str]

    def turns(self, name: str, job: Callable[[], Any]) -> list[float]:
        """Seconds of one call, the median of each turn that counts."""
        job()
        found: list[float] = []
        for _ in range(self.method.rounds):
            for _ in range(self.method.attempts):
                if time.perf_counter() > self.method.deadline:
                    return found
                seconds, problem = self._turn(job)
                if not problem or self.method.allow_noise:
                    found.append(seconds)
                    break
                self.thrown_away.append(f"{name}: {problem}")
        return found

    def _turn(self, job: Callable[[], Any]) -> tuple[float, str]:
        loop, before = self.watch.settle(0 if self.method.allow_noise else self.method.patience), self.watch.instant([])
        times: list[float] = []
        end = time.perf_counter() + self.method.seconds
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            job()
            times.append(time.perf_counter() - start)
        after = self.watch.instant([])
        return float(np.median(times)), self.watch.verdict(before, after, (loop, spin()))
