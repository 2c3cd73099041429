"""Seconds of a call on the device, and from the host and back."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

_WARM, _ROUNDS = 3, 20


def seconds(call: Callable[[], Any], device: str) -> float:
    """Median over rounds of one call, everything queued waited for."""
    rounds = _ROUNDS if device == "cuda" else 1
    for _ in range(_WARM if device == "cuda" else 1):
        call()
    found = []
    for _ in range(rounds):
        _wait(device)
        started = time.perf_counter()
        call()
        _wait(device)
        found.append(time.perf_counter() - started)
    return median(found)


def captured(call: Callable[[], torch.Tensor], device: str) -> Callable[[], torch.Tensor]:
    """The call as a CUDA graph, replayed; on a CPU the call itself."""
    if device != "cuda":
        return call
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large product of random numbers: the ceiling that shares are of."""
    size = 8192 if device == "cuda" else 64
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return float(2 * size**3 / seconds(lambda: a @ b, device))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
