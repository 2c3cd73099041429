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
    """One shape, timed on one device."""

    def __init__(self, name: str, spec: EncoderSpec, weights: Weights, kernels: CudaKernels, device: str) -> None:
        self.name, self.spec, self.device = name, spec, device
        self._ours = PackedEncoder(spec, weights, kernels, torch.float16, device)
        self._peer = PaddedEncoder(spec, weights, torch.float16, device).eval()
        self._peers: dict[str, Callable[..., torch.Tensor]] = {"torch fp16 SDPA": self._peer}
        self._packed_peers: dict[str, Callable[..., torch.Tensor]] = {}
        self.failed: list[str] = []
        for kernel, attend in attentions(device).items():
            peer = VarlenEncoder(spec, weights, torch.float16, device, attend).eval()
            try:  # a peer that does not run here is no reason to measure nothing
                peer(*pack(draw((5, 3), spec.vocab_size), device).all, 5)
                self._packed_peers[kernel] = peer
            except Exception as error:
                self.failed.append(f"{name}, {kernel}: {' '.join(str(error).split())[:200]}")
        if device == "cuda":
            self._peers["torch.compile fp16"] = torch.compile(self._peer, dynamic=True)

    def agreement(self, lengths: tuple[int, ...]) -> float:
        """Cosine at worst between our vectors and a peer's: all do the same work. Raises where they do not."""
        texts = draw(lengths, self.spec.vocab_size)
        packed = pack(texts, self.device).all
        peers = [self._peer(*pad(texts, self.device))]
        peers += [peer(*packed, max(lengths)) for peer in self._packed_peers.values()]
        cosine = min(float((self._ours(*packed) * peer).sum(-1).min()) for peer in peers)
        if not cosine > 0.999:
            raise RuntimeError(f"{self.name}: our vectors and a peer's have a cosine of {cosine}")
        return cosine

    def latency(self, lengths: tuple[int, ...]) -> Iterator[Row]:
        """Milliseconds from ids on the host to the vector on the host."""
        for length in lengths:
            text = draw([length], self.spec.vocab_size)
            batch, padded = pack(text, self.device), pad(text, self.device)
            replay = captured(partial(self._ours, *batch.all), self.device)
            ids = torch.from_numpy(text[0])
            host = ids.pin_memory() if self.device == "cuda" else ids

            def ours(batch: PackedIds = batch, replay: Any = replay, host: torch.Tensor = host) -> torch.Tensor:
                batch.input_ids.copy_(host, non_blocking=True)
                return torch.Tensor(replay().cpu())

            yield self.row(f"1 x {length}", "strizh kernels, CUDA graph", seconds(ours, self.device), length)
            for name, peer in self._peers.items():
                spent = seconds(partial(_to_host, peer, padded), self.device)
                yield self.row(f"1 x {length}", name, spent, length)
            for name, packed in self._packed_peers.items():
                spent = seconds(partial(_to_host, packed, (*batch.all, length)), self.device)
                yield self.row(f"1 x {length}", name, spent, length)

    def throughput(self, batches: dict[str, tuple[int, ...]]) -> Iterator[Row]:
        """Real tokens a second; peers have texts sorted by length in the batches that are best for them."""
        for case, lengths in batches.items():
            texts, tokens = draw(lengths, self.spec.vocab_size), sum(lengths)
            batch = pack(texts, self.device)
            spent = seconds(partial(self._ours, *batch.all), self.device)
            yield self.row(case, "strizh kernels", spent, tokens)
            for name, peer in self._peers.items():
                sizes = {min(size, len(texts)) for size in _PEER_BATCHES}
                best = min(self._sorted(peer, texts, size) for size in sizes)
                yield self.row(case, name, best, tokens)
            for name, packed in self._packed_peers.items():
                spent = seconds(partial(packed, *batch.all, max(lengths)), self.device)
                yield self.row(case, name, spent, tokens)

    def _sorted(self, peer: Callable[..., torch.Tensor], texts: Any, size: int) -> float:
        batches = pad_sorted(texts, size, self.device)
        return seconds(lambda: [peer(*batch) for batch in batches], self.device)

    def row(self, case: str, contender: str, seconds: float, tokens: int) -> Row:
        """One figure, with the operations of its matrix products."""
        products = sum(
            size[0] * size[1] for slot, size in self.spec.slots() if slot.startswith("layers.") and len(size) == 2
        )
        return {
            "model": self.name, "case": case, "contender": contender, "ms": 1e3 * seconds, "tokens_per_second": tokens / seconds,
            "operations_per_second": 2 * products * tokens / seconds,
        }  # fmt: skip


def _to_host(peer: Callable[..., torch.Tensor], batch: tuple[Any, ...]) -> torch.Tensor:
    return peer(*batch).cpu()
