"""Page-locked memory of CUDA's driver, played by one whose memory is the host's."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strizh.runtime.cuda import PROVIDER
from strizh.runtime.errors import DeviceError
from strizh.runtime.sessions import cuda_memory, device_memory
from strizh.runtime.sessions.cuda_memory import CudaMemory
from strizh.runtime.sessions.device_memory import DeviceMemory


def test_cuda_memory_is_page_locked_as_long_as_it_is_used(
    fake_driver: Callable[..., Any], memory_of: Callable[[Any], DeviceMemory]
) -> None:
    driver = fake_driver()
    memory = memory_of(driver)
    array = memory.array((3, 5), np.float32)
    view = array[1:]
    assert array.ctypes.data in driver.locked and array.shape == (3, 5) and array.flags.writeable
    del array
    gc.collect()
    kept = memory.array((1,), np.float32)
    assert len(driver.locked) == 2, "a view is left"
    del view
    gc.collect()
    assert len(driver.locked) == 2, "CUDA may be at a capture when the last one is dropped"
    another = memory.array((1,), np.float32)
    assert set(driver.locked) == {kept.ctypes.data, another.ctypes.data}
    buffer = memory.buffer((6,), np.float32)
    memory.put((np.arange(6, dtype=np.float32), buffer))
    assert memory.get("results", (4,), buffer).tolist() == [0, 1, 2, 3] and driver.copied == [24, 16]
    memory.copy((0, 0, 0))
    assert len(driver.copied) == 2, "of nothing there is no copy"


def test_cuda_memory_is_one_for_all_sessions(
    fake_driver: Callable[..., Any], memory_of: Callable[[Any], DeviceMemory]
) -> None:
    """Each has a stream of CUDA's and a hold on its context, which nobody gives back."""
    driver = fake_driver()
    memories = [memory_of(driver)]
    memories += [DeviceMemory(PROVIDER) for _ in range(2)]
    assert driver.started == 1 and len({memory._cuda for memory in memories}) == 1


def test_cuda_driver_that_refuses_is_one_line(fake_driver: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_memory, "cuda_memory", CudaMemory)
    monkeypatch.setattr(cuda_memory, "driver", lambda: fake_driver(status=100))
    with pytest.raises(DeviceError, match=r"^cuInit of CUDA's driver failed: no CUDA-capable device is detected\. See"):
        DeviceMemory(PROVIDER)
    monkeypatch.setattr(cuda_memory, "driver", lambda: None)
    with pytest.raises(DeviceError, match="needs an NVIDIA driver, and libcuda is not here"):
        DeviceMemory(PROVIDER)
