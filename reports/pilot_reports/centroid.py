"""How far points are from their mean, from nothing but the distances between them. Pure.

The double centring of Torgerson (1952) and Gower (1966): for K points x_k in a Euclidean space with mean m,

    ||x_k - m||^2 = 1/K sum_j d_kj^2 - 1/(2 K^2) sum_i sum_j d_ij^2,      d_ij = ||x_i - x_j||

d_KK: symmetric, zero diagonal. It holds for no other distances. The terms cancel for a point that is near the mean
while others are far: its error is then that of the largest distance, and rounding may leave a negative square.
"""

from collections.abc import Sequence
from math import sqrt


def to_mean(d_KK: Sequence[Sequence[float]]) -> list[float]:
    """Each point's distance to the mean of all."""
    k = len(d_KK)
    squares_K = [sum(d * d for d in row) for row in d_KK]
    within = sum(squares_K) / (2 * k * k)
    return [sqrt(max(0.0, total / k - within)) for total in squares_K]
