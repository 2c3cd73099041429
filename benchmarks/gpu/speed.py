"""Latency of one text, and throughput of ragged and of equal texts, beside PyTorch."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.batches import PackedIds, draw, pack, pad, pad_sorted
from benchmarks.gpu.packed import PackedEncoder
from benchmarks.gpu.padded import PaddedEncoder
from benchmarks.gpu.specs import Weights
from benchmarks.gpu.timing import captured, seconds
from benchmarks.gpu.varlen import VarlenEncoder, attentions
from benchmarks.workloads import ragged_lengths
from strizh.export.spec import EncoderSpec
from strizh.kernels.native_cuda import CudaKernels

LATENCY = (16, 64, 256, 1024, 8192)
BATCHES: dict[str, tuple[int, ...]] = {
    "64 ragged": ragged_lengths(64),
    "1024 ragged": ragged_lengths(1024),
    "128 x 512": (512,) * 128,  # 64k tokens
}
_PEER_BATCHES = (16, 64, 256)
Row = dict[str, Any]


class Contest:
    """One shape, timed on one device: strizh's kernels beside PyTorch's attention, or without them the other peers."""

    def __init__(
        self, name: str, spec: EncoderSpec, weights: Weights, device: str, kernels: CudaKernels | None = None
    ) -> None:
        self.name, self.spec, self.device = name, spec, device
        self.failed: dict[str, str] = {}
        self._ours = PackedEncoder(spec, weights, kernels, torch.float16, device) if kernels else None
        self._padded_peer = PaddedEncoder(spec, weights, torch.float16, device).eval()
        self._peers: dict[str, Callable[..., torch.Tensor]] = {}
        self._packed_peers: dict[str, Callable[..., torch.Tensor]] = {}
        if self._ours:
            self._peers["torch fp16 SDPA"] = self._padded_peer
            return
        for kernel, attend in attentions(device).items():
            peer = VarlenEncoder(spec, weights, torch.float16, device, attend).eval()
            self._try(kernel, self._packed_peers, peer, (*pack(draw((5, 3), spec.vocab_size), device).all, 5))
        if device == "cuda":
            compiled = torch.compile(self._padded_peer, dynamic=True)
            self._try("torch.compile fp16", self._peers, compiled, pad(draw((5, 3), spec.vocab_size), device))

    def _try(
        self,
        name: str,
        among: dict[str, Callable[..., torch.Tensor]],
        peer: Callable[..., torch.Tensor],
        batch: tuple[Any, ...],
    ) -> None:
        """Let a peer take part; one that does not run here is no reason to measure no other."""
        try:
            peer(*batch)
            among[name] = peer
        except Exception as error:
            self.failed[f"{self.name}, {name}"] = " ".join(str(error).split())[:200]

    def agreement(self, lengths: tuple[int, ...]) -> float:
        """Cosine at worst between PyTorch's vectors and the others': all do the same work. Raises where they do not."""
        texts = draw(lengths, self.spec.vocab_size)
        packed, expected = pack(texts, self.device).all, self._padded_peer(*pad(texts, self.device))
        found = [peer(*packed, max(lengths)) for peer in self._packed_peers.values()]
        found += [self._ours(*packed)] if self._ours else []
        cosine = min((float((vectors * expected).sum(-1).min()) for vectors in found), default=1.0)
        if not cosine > 0.999:
            raise RuntimeError(f"{self.name}: PyTorch's vectors and another's have a cosine of {cosine}")
        return cosine

    def latency(self, lengths: tuple[int, ...]) -> Iterator[Row]:
        """Milliseconds from ids on the host to the vector on the host."""
        for length in lengths:
            text = draw([length], self.spec.vocab_size)
            batch, padded = pack(text, self.device), pad(text, self.device)
            if self._ours:
                replay = captured(partial(self._ours, *batch.all), self.device)
                ids = torch.from_numpy(text[0])
                host = ids.pin_memory() if self.device == "cuda" else ids

                def ours(batch: PackedIds = batch, replay: Any = replay, host: torch.Tensor = host) -> torch.Tensor:
                    batch.input_ids.copy_(host, non_blocking=True)
                    return torch.Tensor(replay().cpu())

                yield self._row(f"1 x {length}", "strizh kernels, CUDA graph", seconds(ours, self.device), length)
            for name, peer in self._peers.items():
                spent = seconds(partial(_to_host, peer, padded), self.device)
                yield self._row(f"1 x {length}", name, spent, length)
            for name, packed in self._packed_peers.items():
                spent = seconds(partial(_to_host, packed, (*batch.all, length)), self.device)
                yield self._row(f"1 x {length}", name, spent, length)

    def throughput(self, batches: dict[str, tuple[int, ...]]) -> Iterator[Row]:
        """Real tokens a second; peers have texts sorted by length in the batches that are best for them."""
        for case, lengths in batches.items():
            texts, tokens = draw(lengths, self.spec.vocab_size), sum(lengths)
            batch = pack(texts, self.device)
            if self._ours:
                spent = seconds(partial(self._ours, *batch.all), self.device)
                yield self._row(case, "strizh kernels", spent, tokens)
            for name, peer in self._peers.items():
                sizes = {min(size, len(texts)) for size in _PEER_BATCHES}
                best = min(self._sorted(peer, texts, size) for size in sizes)
                yield self._row(case, name, best, tokens)
            for name, packed in self._packed_peers.items():
                spent = seconds(partial(packed, *batch.all, max(lengths)), self.device)
                yield self._row(case, name, spent, tokens)

    def _sorted(self, peer: Callable[..., torch.Tensor], texts: Any, size: int) -> float:
        batches = pad_sorted(texts, size, self.device)
        return seconds(lambda: [peer(*batch) for batch in batches], self.device)

    def _row(self, case: str, contender: str, seconds: float, tokens: int) -> Row:
        return row(self.name, self.spec, case, contender, seconds, tokens)


def row(model: str, spec: EncoderSpec, case: str, contender: str, seconds: float, tokens: int) -> Row:
    """One figure, with the operations of its matrix products."""
    products = sum(size[0] * size[1] for slot, size in spec.slots() if slot.startswith("layers.") and len(size) == 2)
    return {
        "model": model, "case": case, "contender": contender, "ms": 1e3 * seconds, "tokens_per_second": tokens / seconds,
        "operations_per_second": 2 * products * tokens / seconds,
    }  # fmt: skip


def _to_host(peer: Callable[..., torch.Tensor], batch: tuple[Any, ...]) -> torch.Tensor:
    return peer(*batch).cpu()
