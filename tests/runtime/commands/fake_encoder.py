"""The command line with an encoder that needs no model: a text's vector is made of its hash.

    python fake_encoder.py PAUSE COMMAND ...      PAUSE seconds a window, which is then short, so that a test can interrupt

At the end the peak of resident memory is printed on standard output, in bytes, where the system is Linux.
"""

import hashlib
import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from strizh.runtime import cli, encoder

LIMIT = 64


class FakeEncoder:
    dimension, max_length = 16, LIMIT

    def __init__(self, pause: float, variant: str) -> None:
        self._pause = pause
        self._window = 7 if pause else 500
        self.variant = "portable-fp32" if variant == "auto" else variant

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def encode_stream(self, texts, *, truncate_dim, prompt, **options):
        texts = iter(texts)
        while window := list(itertools.islice(texts, self._window)):
            time.sleep(self._pause)
            vectors = np.stack([self._vector((prompt or "") + text) for text in window])[:, :truncate_dim]
            lengths = [len(text) for text in window]
            cut = sum(length > LIMIT for length in lengths)
            yield SimpleNamespace(embeddings=vectors, tokens=sum(lengths), truncated=cut)

    def _vector(self, text):
        return np.frombuffer(
            hashlib.blake2b(text.encode(), digest_size=self.dimension).digest(), np.uint8
        ) / np.float32(7)


if __name__ == "__main__":
    pause = float(sys.argv[1])
    encoder.load = lambda bundle, variant, threads, **limits: FakeEncoder(pause, variant)
    status = cli.main(sys.argv[2:])
    if sys.platform == "linux":  # resource.ru_maxrss would begin with the peak of the process that started this one
        lines = Path("/proc/self/status").read_text().splitlines()
        print(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")))
    sys.exit(status)
