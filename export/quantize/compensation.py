"""Rounding of a weight in which what is still to be rounded makes up for what has been.

E. Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, 2023, section 3: row
after row of the weight is rounded, and the rows that are left take over the error as far as the inputs of the calibration
move together. The product of those inputs keeps more than with each number rounded to the nearest.
"""

import numpy as np
from numpy.typing import NDArray

from strizh.export.quantize.rounding import Codes
from strizh.export.weights import Array

# Of the mean of the inputs' squares: the calibration has fewer rows than some products have inputs, so that inputs that
# it never saw would pay. all-MiniLM-L6-v2 on texts that it was not calibrated with loses .00099 of cosine with plain
# rounding, .00090 with .01, .00084 with .2.
_DAMPING = 0.2
_BLOCK = 64


def compensated(weight: Array, inputs: Array, largest: int) -> tuple[Codes, Array]:
    """Codes [in, out] within ±`largest` and float32 scales [out] of a weight [in, out] for inputs [n, in].

    Scales are those of `rounding.columns`, and the largest number of each column keeps its code, so that who finds the
    scale from `codes * scale` anew finds the same codes.
    """
    taken, order = _taken_over(inputs)
    weight = np.asarray(weight[order], np.float32)
    scale = np.abs(weight).max(0, initial=0) / np.float32(largest)
    scale[scale == 0] = 1
    tops, ends = np.abs(weight).argmax(0), np.sign(weight) * largest
    errors, codes = np.empty_like(weight), np.empty(weight.shape, np.int8)
    for start in range(0, len(weight), _BLOCK):
        block = slice(start, start + _BLOCK)
        wanted = weight[block] + taken[:start, block].T @ errors[:start]
        for row, sought in enumerate(wanted, start):
            sought += taken[start:row, row] @ errors[start:row]
            code = np.where(tops == row, ends[row], np.rint(sought / scale).clip(-largest, largest))
            errors[row] = weight[row] - code * scale
            codes[order[row]] = code
    return codes, scale


def _taken_over(inputs: Array) -> tuple[Array, NDArray[np.int64]]:
    """What each row takes over of the error of every one before it, strictly upper [in, in], and the order of rows: those
    of the inputs with the largest squares first.

    With the Hessian H = R R^T, R upper, it is R with every column divided by its diagonal: the feedback that GPTQ takes
    from the Cholesky factor of the inverse, without the inverse (J. Chee et al., QuIP, 2023, theorem 6).
    """
    rows = np.asarray(inputs, np.float32)  # enough: the damping keeps the condition below 5 in + 1
    hessian = rows.T @ rows  # of half the squared error: the factor has no say
    hessian[np.diag_indices(len(hessian))] += _DAMPING * np.trace(hessian) / len(hessian) or 1
    order = np.argsort(-np.diag(hessian), kind="stable")
    last = order[::-1]
    lower = _cholesky(hessian[np.ix_(last, last)])
    lower /= np.diag(lower)
    return np.ascontiguousarray(lower[::-1, ::-1]), order


def _cholesky(matrix: Array) -> Array:
    """The lower factor, block by block: np.linalg.cholesky takes six times as long for the same in float32, and more
    where its threads wait for each other on a busy machine.
    """
    lower = np.zeros_like(matrix)
    for start in range(0, len(matrix), _BLOCK):
        block = slice(start, start + _BLOCK)
        panel = matrix[start:, block] - lower[start:, :start] @ lower[block, :start].T
        own = lower[block, block] = np.linalg.cholesky(panel[:_BLOCK])
        lower[block.stop :, block] = panel[_BLOCK:] @ np.linalg.inv(own).T
    return lower
