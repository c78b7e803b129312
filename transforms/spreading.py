"""The richer style shift: a linear map that gives caption means the spread of a style's passages."""

import numpy as np

MOST = 4.0  # maximum stretch; a direction in which captions hardly differ is noise


def shrink(covariance: np.ndarray, count: int) -> np.ndarray:
    """Returns the covariance `[S, S]` of `count` samples, mixed with more of an even one the fewer samples there are.

    Oracle approximating shrinkage (Chen, Wiesel, Eldar and Hero 2010, equation 23).
    """
    width = len(covariance)
    even = np.trace(covariance) / width
    squares = float((covariance**2).sum())
    above = (1 - 2 / width) * squares + (even * width) ** 2
    below = (count + 1 - 2 / width) * (squares - even**2 * width)
    share = min(1.0, above / below) if below > 0 else 1.0
    shrunk: np.ndarray = (1 - share) * covariance + share * even * np.eye(width)  # [S, S]
    return shrunk


def transport(source: np.ndarray, target: np.ndarray, most: float = MOST) -> np.ndarray:
    """Returns A `[S, S]`, the map of least movement with A source A = target that stretches by at most `most`.

    Whitening and colouring in one step: A = C^-1/2 (C^1/2 B C^1/2)^1/2 C^-1/2 for source C and target B (Olkin and
    Pukelsheim 1982).

    Args:
        source: covariance `[S, S]` of the vectors to be mapped, positive definite.
        target: covariance `[S, S]` of the mapped vectors.
        most: maximum factor by which a direction is stretched.
    """
    root, inverse = _power(source, 0.5), _power(source, -0.5)  # [S, S], [S, S]
    between = inverse @ _power(root @ target @ root, 0.5) @ inverse  # [S, S]
    values, vectors = np.linalg.eigh((between + between.T) / 2)  # [S], [S, S]
    movement: np.ndarray = (vectors * values.clip(max=most)) @ vectors.T  # [S, S]
    return movement


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Returns a power of a symmetric matrix `[S, S]`; eigenvalues at or below 0 are treated as rounding errors."""
    values, vectors = np.linalg.eigh(matrix)  # [S], [S, S]
    least = np.finfo(np.float64).eps * values[-1]
    power: np.ndarray = (vectors * values.clip(min=least) ** exponent) @ vectors.T  # [S, S]
    return power
