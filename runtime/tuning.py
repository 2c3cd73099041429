"""What `strizh bench` found best for a bundle on a machine, kept in a file that `strizh.load` takes."""

import dataclasses
import json
import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from strizh.runtime import processor, strict_json
from strizh.runtime.cores import usable_cores
from strizh.runtime.errors import BundleError, UsageError
from strizh.runtime.hashing import sha256
from strizh.runtime.manifest import MANIFEST, read_manifest

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How to load one bundle on one kind of machine. `manifest_sha256` tells which bundle was measured."""

    variant: str
    threads: int
    max_batch_tokens: int
    manifest_sha256: str
    processor: str
    cores: int
    format: int = _FORMAT

    def write(self, path: Path) -> None:
        """Write the file; one that is there is replaced."""
        path.write_text(json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def tuning_for(bundle: Path, variant: str, threads: int, max_batch_tokens: int) -> Tuning:
    """A tuning of this bundle on this machine."""
    return Tuning(
        variant=variant,
        threads=threads,
        max_batch_tokens=max_batch_tokens,
        manifest_sha256=sha256(bundle / MANIFEST),
        processor=processor.name(),
        cores=usable_cores(),
    )


def read_tuning(path: str | PathLike[str], bundle: str | PathLike[str]) -> Tuning:
    """Read a tuning of this bundle.

    `UsageError` if it is none, or was measured on another bundle; `BundleError` if there is no bundle. On another
    processor or other cores it still holds in what it says, and may not be the best any more: a `RuntimeWarning` says so.
    """
    read_manifest(bundle)
    if not isinstance(path, str | PathLike):
        raise UsageError(f"tuning is of type {type(path).__name__}, expected the path of a file of `strizh bench --save-tuning`")
    file = Path(path)
    again = "Measure again with `strizh bench --save-tuning`"
    try:
        data = strict_json.parse(file.read_text(encoding="utf-8"), file.name)
        tuning = strict_json.build(Tuning, data, file.name)
    except (OSError, UnicodeDecodeError, BundleError) as error:
        raise UsageError(f"{file} is no tuning that this strizh reads ({error}). {again}") from None
    if tuning.format != _FORMAT or tuning.threads < 1 or tuning.max_batch_tokens < 1:
        raise UsageError(f"{file} has format {tuning.format} or numbers that cannot be. {again}")
    if tuning.manifest_sha256 != sha256(Path(bundle) / MANIFEST):
        raise UsageError(f"{file} was measured on another bundle than '{Path(bundle).name}'. {again}")
    here = (processor.name(), usable_cores())
    if (tuning.processor, tuning.cores) != here:
        warnings.warn(
            f"{file.name} was measured on {tuning.processor} with {tuning.cores} cores, this is {here[0]} with {here[1]}: "
            f"it may not be the best here. {again}",
            RuntimeWarning,
            stacklevel=3,
        )
    return tuning
