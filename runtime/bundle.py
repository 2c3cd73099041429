"""A bundle's folder, the only thing that export and runtime both know.

It is data: nothing in it is executed, every path stays inside the folder, and a file that the manifest does not
vouch for is not opened.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import PathLike
from pathlib import Path

from strizh.runtime import containment, hashing
from strizh.runtime.errors import BundleError
from strizh.runtime.manifest import read_manifest


class Bundle:
    """A bundle's folder with its checked manifest; the one door to its files."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.manifest = read_manifest(folder)
        self.folder = Path(folder)

    def path(self, name: str) -> Path:
        """Path of a file that the manifest vouches for: inside the folder and of the stated size; `BundleError`."""
        path, size = containment.resolve(self.folder, name), self.manifest.files[name].size
        if (actual := path.stat().st_size) != size:
            raise BundleError(
                f"bundle '{self.folder.name}': {name} has {actual} bytes, the manifest says {size}: "
                "it was cut off or replaced. Copy or export the bundle again"
            )
        return path

    def verify(self, names: Iterable[str], threads: int = 1) -> None:
        """Hash these files; `BundleError` names the first whose SHA-256 is not the manifest's.

        Several threads hash the blocks of a file side by side, one hashes it whole.
        """
        jobs = [job for name in names for job in self._hashes(name, in_blocks=threads > 1)]
        with ThreadPoolExecutor(threads, "strizh-hash") as pool:
            for (name, expected, _), found in zip(jobs, pool.map(lambda job: job[2](), jobs), strict=True):
                if found != expected:
                    raise BundleError(
                        f"bundle '{self.folder.name}': {name} is not the file that was exported (its SHA-256 differs). "
                        "Copy or export the bundle again"
                    )

    def _hashes(self, name: str, in_blocks: bool) -> Iterator[tuple[str, str, Callable[[], str]]]:
        """The name, each expected hash, and what finds the hash."""
        path, file = self.path(name), self.manifest.files[name]
        if not (in_blocks and file.blocks):
            yield name, file.sha256, partial(hashing.sha256, path)
            return
        for index, expected in enumerate(file.blocks):
            yield name, expected, partial(hashing.sha256_of_block, path, index)
