"""What is done to vectors and logits after the graph."""

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


def sigmoid(logits: Float32) -> Float32:
    """1 / (1 + exp(-x)), elementwise, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)


def softmax(logits: Float32) -> Float32:
    """exp(x) / sum(exp(x)) of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def scores(logits: Float32, activation: str) -> Float32:
    """A classifier's scores by the name that a manifest gives them: one of `bundle.SCORE_ACTIVATIONS`."""
    if activation == "identity":
        return logits
    return sigmoid(logits) if activation == "sigmoid" else softmax(logits)
