"""The tensors of a checkpoint, read one at a time: safetensors (one file or shards), or a torch `.bin`."""

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (gives NumPy the bfloat16 that safetensors asks for by name)
from numpy.typing import NDArray

from strizh.runtime.errors import CheckpointError, MissingExtra


class TensorStore(Mapping[str, NDArray[Any]]):
    """Names to arrays in the stored dtype. Nothing is read before it is asked for, and nothing is kept after."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], read: Callable[[str], NDArray[Any]]) -> None:
        self.shapes = shapes
        self._read = read

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def open_tensors(folder: Path, stem: str = "model") -> TensorStore:
    """Open the weights of `folder`: `<stem>.safetensors`, its sharded index, or `pytorch_model.bin`.

    Raises `CheckpointError` if there are none or if a file is damaged.
    """
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        return _open_safetensors((single,))
    if index.is_file():
        return _open_safetensors(tuple(folder / name for name in _shards(index)))
    for name in ("pytorch_model.bin", "pytorch_model.bin.index.json"):
        if (folder / name).is_file():
            path = folder / name
            return open_torch((path,) if path.suffix == ".bin" else tuple(folder / shard for shard in _shards(path)))
    raise CheckpointError(
        f"{folder} holds no weights: expected {single.name}, {index.name} or pytorch_model.bin. "
        "Download the checkpoint again, with its weights."
    )


def _shards(index: Path) -> list[str]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{index} is not an index of shards ({error!r}). Download it again.") from error
    outside = [name for name in names if Path(name).name != name]
    missing = [name for name in names if not (index.parent / name).is_file()]
    if outside or missing:
        raise CheckpointError(
            f"{index} names shards that are not beside it: {', '.join(outside or missing)}. Download the missing files."
        )
    return names


def _open_safetensors(paths: tuple[Path, ...]) -> TensorStore:
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    homes: dict[str, Path] = {}
    for path in paths:
        try:
            with safe_open(path, framework="np") as opened:
                names = list(opened.keys())
                shapes |= {name: tuple(opened.get_slice(name).get_shape()) for name in names}
                homes |= dict.fromkeys(names, path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is not a readable safetensors file ({error}). Download it again.") from error

    def read(name: str) -> NDArray[Any]:
        # Opened anew each time: pages of a mapping that stays open would count as this process's memory.
        with safe_open(homes[name], framework="np") as opened:
            found: NDArray[Any] = opened.get_tensor(name)
            return found

    return TensorStore(shapes, read)


def open_torch(paths: tuple[Path, ...]) -> TensorStore:
    """Tensors that `torch.save` wrote, without running what a pickle may hold; raises `MissingExtra` without torch."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "trace", f"Reading {paths[0].name} (no safetensors beside it)") from error

    tensors: dict[str, Any] = {}
    for path in paths:
        try:  # weights_only: a pickle from a model repository must not run code
            tensors |= torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path} cannot be read as plain weights ({reason}). Download it again.") from error

    def read(name: str) -> NDArray[Any]:
        tensor = tensors[name]
        found: NDArray[Any] = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor.clone()).numpy()
        return found

    return TensorStore({name: tuple(tensor.shape) for name, tensor in tensors.items()}, read)
