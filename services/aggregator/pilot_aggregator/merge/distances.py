"""How far apart adapters are: squared distances of all pairs, added up block by block.

    euclidean        d_ij^2 = sum_t ||theta_i,t - theta_j,t||^2                        Pilot eq. 11: A and B, flat (A20)
    euclidean-delta  d_ij^2 = sum_t ||delta_i,t - delta_j,t||^2 / s_t^2,               delta = theta - theta_base
                     s_t^2 = 1/K sum_k ||delta_k,t||^2
    product          d_ij^2 = scaling^2 sum_m ||B_i,m A_i,m - B_j,m A_j,m||_F^2

t: tensors, m: adapted modules, K adapters, x_Kn: one block of n numbers of each.

Without the division by s_t the second would equal the first, because the base cancels; with it every tensor counts by
how much it was trained, whatever its size ("deltas, per layer normalised" of A20). A tensor that nobody changed
counts nothing. The first two depend on the gauge of the factors ((B, A) and (2B, A/2) are one function, yet apart);
the third does not.

All by direct differences in float64. ||a||^2 + ||b||^2 - 2ab cancels for close adapters, which are the ones that
matter. For the product, with D the difference of a factor and X' the transpose,

    B_i A_i - B_j A_j = D_B A_i + B_j D_A
    ||.||_F^2 = <D_B'D_B, A_i A_i'> + <B_j'B_j, D_A D_A'> + 2 <D_B'B_j, A_i D_A'>

with r x r matrices only. Factors that differ a lot while their products do not (another gauge) come out at about 1e-8
of the product's norm instead of zero.

No BLAS: distances decide coefficients, and coefficients decide bytes.
"""

import numpy as np

from pilot_aggregator.merge.dtypes import F64

ROW_BLOCK = 1024


def add_pairs(x_Kn: F64, scratch: F64, squared_KK: F64) -> None:
    """Add sum_n (x_i - x_j)^2 to squared_KK[i, j] for i < j.

    As many j at a time as fit into `scratch`, which holds one x_n at least: with many inputs and short blocks, calls
    would take longer than their work. Each sum is over one contiguous row, so its bits do not depend on how many.
    """
    K, n = x_Kn.shape
    rows = max(1, len(scratch) // n)
    for i in range(K - 1):
        for start in range(i + 1, K, rows):
            x_jn = x_Kn[start : start + rows]
            difference_jn = scratch[: len(x_jn) * n].reshape(len(x_jn), n)
            np.subtract(x_Kn[i], x_jn, out=difference_jn)
            np.multiply(difference_jn, difference_jn, out=difference_jn)
            squared_KK[i, start : start + rows] += np.add.reduce(difference_jn, axis=1)


def squared_norm(x_n: F64) -> float:
    """sum_n x^2; overwrites x_n."""
    np.multiply(x_n, x_n, out=x_n)
    return float(np.add.reduce(x_n))


def product_squared(A_i_rn: F64, B_i_mr: F64, A_j_rn: F64, B_j_mr: F64) -> float:
    """||B_i A_i - B_j A_j||_F^2 through r x r matrices. A: r x in, B: out x r."""
    D_A_rn, D_B_mr = A_i_rn - A_j_rn, B_i_mr - B_j_mr
    first = _inner(_gram(D_B_mr.T, D_B_mr.T), _gram(A_i_rn, A_i_rn))
    second = _inner(_gram(B_j_mr.T, B_j_mr.T), _gram(D_A_rn, D_A_rn))
    cross = _inner(_gram(D_B_mr.T, B_j_mr.T), _gram(A_i_rn, D_A_rn))
    # Rounding can push the square of nothing below zero.
    return max(0.0, first + second + 2.0 * cross)


def symmetric_root(squared_KK: F64) -> F64:
    """Distances from the upper triangle of their squares: symmetric, diagonal zero."""
    upper_KK = np.sqrt(np.triu(squared_KK, 1))
    return upper_KK + upper_KK.T


def _gram(x_rn: F64, y_rn: F64) -> F64:
    """x y' (r x r) in a fixed order of operations."""
    gram_rr = np.zeros((len(x_rn), len(y_rn)))
    for start in range(0, x_rn.shape[1], ROW_BLOCK):
        x_rb = np.ascontiguousarray(x_rn[:, start : start + ROW_BLOCK])
        y_rb = np.ascontiguousarray(y_rn[:, start : start + ROW_BLOCK])
        for a, x_b in enumerate(x_rb):
            gram_rr[a] += np.add.reduce(np.multiply(y_rb, x_b), axis=1)
    return gram_rr


def _inner(x_rr: F64, y_rr: F64) -> float:
    return float(np.add.reduce(np.multiply(x_rr, y_rr), axis=None))
