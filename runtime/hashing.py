"""SHA-256 of files, whole and in blocks: the blocks of a large file are hashed side by side while a session opens.

A bundle of 277 MB in bf16 on two cores, its file in the page cache, least of six processes: load to first vector 0.205 s with
blocks, 0.292 with one whole pass beside the session, 0.108 with no hash at all.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

BLOCK = 16 << 20  # bytes, of which all blocks of a file but the last consist: part of the bundle's format
_READ = 1 << 18  # bytes: stays in the cache


def sha256(path: Path) -> str:
    """SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_block(path: Path, index: int) -> str:
    """SHA-256 in hex of the file's `index`-th block, counted from 0. Lets other threads run meanwhile."""
    digest, left, piece = hashlib.sha256(), BLOCK, memoryview(bytearray(_READ))
    with path.open("rb", buffering=0) as stream:
        stream.seek(index * BLOCK)
        while left and (count := stream.readinto(piece[:left])):
            digest.update(piece[:count])
            left -= count
    return digest.hexdigest()


def block_count(size: int) -> int:
    """Blocks of a file of `size` bytes, none if it is one block at most: then its own hash serves."""
    return -(-size // BLOCK) if size > BLOCK else 0


def blocks(path: Path) -> Iterator[str]:
    """SHA-256 in hex of each block of a file that has more than one."""
    return (sha256_of_block(path, index) for index in range(block_count(path.stat().st_size)))
