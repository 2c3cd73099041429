"""A GPU's memory without a GPU."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from strizh.runtime.cuda import PROVIDER
from strizh.runtime.sessions import cuda_memory, device_memory
from strizh.runtime.sessions.cuda_memory import CudaMemory
from strizh.runtime.sessions.device_memory import DeviceMemory


@pytest.fixture
def memory_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], DeviceMemory]:
    """`memory_of(driver)`: a GPU's memory, of this driver, whose buffers are the host's."""

    def make(driver: Any) -> DeviceMemory:
        monkeypatch.setattr(cuda_memory, "driver", lambda: driver)
        monkeypatch.setattr(device_memory, "cuda_memory", cache(CudaMemory))
        memory = DeviceMemory(PROVIDER)
        assert memory.device == "cuda"
        memory.device = "cpu"
        return memory

    return make
