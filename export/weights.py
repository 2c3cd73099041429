"""From a checkpoint's tensors to the slots of an `EncoderSpec`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.export.checkpoint import Checkpoint
from strizh.export.spec import EncoderSpec
from strizh.runtime.errors import CheckpointError

Array = NDArray[np.float32]


def _alone(tensor: Array) -> Array:
    return tensor


def block(index: int, count: int) -> Callable[[Array], Array]:
    """One of the `count` equal blocks of rows that a checkpoint stores as one tensor."""

    def pick(fused: Array) -> Array:
        rows = len(fused) // count
        return fused[index * rows : (index + 1) * rows]

    return pick


@dataclass(frozen=True, slots=True)
class Source:
    """The checkpoint's tensors behind one slot, by their names without prefix, and what to do with them."""

    names: tuple[str, ...]
    combine: Callable[..., Array] = _alone


class Weights(Mapping[str, Array]):
    """Slots to float32 arrays, read from disk at each access so that no more than one is held in memory."""

    def __init__(self, checkpoint: Checkpoint, sources: Mapping[str, Source]) -> None:
        self._checkpoint = checkpoint
        self._sources = sources

    def __getitem__(self, slot: str) -> Array:
        source = self._sources[slot]
        tensors = [self._read(name) for name in source.names]
        return np.ascontiguousarray(source.combine(*tensors), np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def _read(self, name: str) -> Array:
        array = self._checkpoint.tensors[self._checkpoint.names[name]].astype(np.float32, copy=False)
        if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):  # NaN is its own minimum
            raise CheckpointError(
                f"tensor {name!r} of {self._checkpoint.folder} holds NaN or infinity. A graph of it would give no vectors."
            )
        return array


def bind(
    checkpoint: Checkpoint, spec: EncoderSpec, sources: Mapping[str, Source], ignored: tuple[str, ...]
) -> tuple[Weights, tuple[str, ...]]:
    """Check that the checkpoint holds what the spec needs and nothing that it does not explain.

    `ignored` are patterns of names that a family knows to play no part in sentence vectors. Returns the weights and
    the names that were left out by those patterns. Raises one `CheckpointError` that lists every missing tensor, every
    tensor of a wrong shape, and every surplus one.
    """
    wanted = dict(spec.slots())
    unmapped = sorted(wanted.keys() - sources.keys())
    if unmapped:
        raise CheckpointError(f"family {spec.family!r} maps no tensor to: {', '.join(unmapped)}.")
    used = {name for slot in wanted for name in sources[slot].names}
    missing = sorted(used - checkpoint.names.keys())
    left = sorted(checkpoint.names.keys() - used)
    surplus = [name for name in left if not any(re.fullmatch(pattern, name) for pattern in ignored)]
    problems = []
    if missing:
        problems.append(f"missing: {_listing(missing)}")
    if surplus:
        problems.append(f"not explained by family {spec.family!r}: {_listing(surplus)}")
    weights = Weights(checkpoint, {slot: sources[slot] for slot in wanted})
    if not missing:
        problems += _wrong_shapes(checkpoint, wanted, sources)
    if problems:
        raise CheckpointError(f"the weights of {checkpoint.folder} do not fit its config: {'; '.join(problems)}.")
    return weights, tuple(left)


def _wrong_shapes(
    checkpoint: Checkpoint, wanted: Mapping[str, tuple[int, ...]], sources: Mapping[str, Source]
) -> list[str]:
    def shape(slot: str) -> tuple[int, ...]:
        shapes = [checkpoint.shape(name) for name in sources[slot].names]
        if sources[slot].combine is _alone:
            return shapes[0]
        # Only the shape is wanted: a broadcast zero has it without taking memory for the values.
        empty: list[Any] = [np.broadcast_to(np.float32(0), one) for one in shapes]
        return sources[slot].combine(*empty).shape

    return [
        f"{' + '.join(sources[slot].names)} is {list(found)}, expected {list(expected)}"
        for slot, expected in wanted.items()
        if (found := shape(slot)) != expected
    ]


def _listing(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
