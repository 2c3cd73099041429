"""What is done to vectors after the graph."""

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def normalize(vectors: Float32) -> Float32:
    """Each row scaled to length 1; rows of zeros stay. float32 [n, dim]."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)


def mean_of_windows(vectors: Float32, tokens: NDArray[np.int32], owner: NDArray[np.int32]) -> Float32:
    """Mean over the windows of each text, weighted by their tokens.

    `vectors` is float32 [windows, dim]; `tokens` and `owner`, the number of the window's text, are int32 [windows], and
    every text from 0 up has at least one window, in order. The result is float32 [texts, dim]; for mean pooling without
    normalisation it is the mean over all the text's tokens.
    """
    windows = np.bincount(owner)
    first = np.cumsum(windows) - windows
    result: Float32 = vectors[first]
    for text in np.flatnonzero(windows > 1):
        rows = slice(first[text], first[text] + windows[text])
        result[text] = np.average(vectors[rows], axis=0, weights=tokens[rows])
    return result
