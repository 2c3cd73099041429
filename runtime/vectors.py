"""What is done to vectors after the graph."""

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def normalize(vectors: Float32) -> Float32:
    """Each row scaled to length 1; rows of zeros stay. float32 [n, dim]."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def mean_of_windows(vectors: Float32, tokens: NDArray[np.int32], owner: NDArray[np.int32], texts: int) -> Float32:
    """Mean over the windows of each text, weighted by their tokens; texts without a token get zeros.

    `vectors` is float32 [windows, dim], `tokens` and `owner` (the window's text) are int32 [windows]; the result is
    float32 [texts, dim]. For mean pooling this is the mean over all the text's tokens.
    """
    sums = np.zeros((texts, vectors.shape[1]), np.float64)
    np.add.at(sums, owner, vectors * tokens[:, None].astype(np.float64))
    weights = np.bincount(owner, weights=tokens, minlength=texts)[:, None]
    return (sums / np.maximum(weights, 1)).astype(np.float32)
