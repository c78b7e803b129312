"""Linear maps fitted in closed form, in float64: what vectors tell without a network that could learn it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""What a fit adds to its inputs' variances, in units of their mean variance."""
_INNER = 5  # one row in so many chooses the penalty

Fitted = TypeVar("Fitted")


@dataclass(frozen=True)
class LinearMap:
    """A linear map `[S, T]` of the deviations of vectors `[S]` from their mean."""

    mean: np.ndarray
    weights: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the mapped deviations `[N, T]` of vectors `[N, S]`."""
        return (vectors - self.mean) @ self.weights  # [N, T]


def fit_ridge(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> LinearMap:
    """Returns the ridge regression of the deviations of targets `[N, T]` from their mean, on vectors `[N, S]`."""
    mean, centred = _centre(inputs)
    covariance = _penalised(centred.T @ centred / len(centred), penalty)  # [S, S]
    shared = centred.T @ _centre(targets)[1] / len(centred)  # [S, T]
    return LinearMap(mean, np.linalg.solve(covariance, shared))


def fit_canonical(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[LinearMap, LinearMap]:
    """Returns maps of both sides to the directions in which they go together, each as long as its correlation.

    This is canonical correlation analysis (Hotelling 1936) with one covariance for both, since both are vectors of
    like texts. What one side holds and the other does not tell falls away.

    Args:
        inputs: `[N, S]`.
        targets: `[N, S]`.
        penalty: of `PENALTIES`.
    """
    (mean, first), (target_mean, second) = _centre(inputs), _centre(targets)
    both = (first.T @ first + second.T @ second) / (2 * len(first))  # [S, S]
    root = np.linalg.cholesky(_penalised(both, penalty))  # [S, S]
    half = np.linalg.solve(root, first.T @ second / len(first))  # [S, S]
    left, strengths, right = np.linalg.svd(np.linalg.solve(root, half.T).T)  # [S, S], [S], [S, S]
    sides = (np.linalg.solve(root.T, side * strengths) for side in (left, right.T))  # each [S, S]
    return LinearMap(mean, next(sides)), LinearMap(target_mean, next(sides))


def _centre(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = vectors.mean(axis=0, dtype=np.float64)  # [S]
    return mean, vectors - mean


def _penalised(covariance: np.ndarray, penalty: float) -> np.ndarray:
    size = len(covariance)
    return covariance + max(penalty * np.trace(covariance) / size, 1e-12) * np.eye(size)  # [S, S]


def choose(
    count: int, fit: Callable[[np.ndarray, float], Fitted], score: Callable[[Fitted, np.ndarray], float]
) -> Fitted:
    """Returns the fit on all rows, with the penalty that scores best on a held-out fifth of them.

    Args:
        count: rows.
        fit: makes a fit of some rows, given by their places, with a penalty.
        score: of a fit on some rows; higher is better.
    """
    order = np.random.default_rng(0).permutation(count)  # [N]
    judging, fitting = order[::_INNER], np.delete(order, np.s_[::_INNER])
    scores = [score(fit(fitting, penalty), judging) for penalty in PENALTIES]
    return fit(np.arange(count), PENALTIES[int(np.argmax(scores))])


@dataclass(frozen=True)
class Labelled:
    """Vectors `[N, S]` and the class of each `[N]`."""

    vectors: np.ndarray
    labels: np.ndarray


def probe(known: Labelled, judged: Labelled) -> float:
    """Returns how often a linear classifier names the class, in percent, fitted on some vectors and judged on others.

    It is the ridge regression of the classes' indicators.
    """
    indicators = np.eye(int(known.labels.max()) + 1)[known.labels]  # [N, C]
    shares = indicators.mean(axis=0)  # [C]

    def fit(rows: np.ndarray, penalty: float) -> LinearMap:
        return fit_ridge(known.vectors[rows], indicators[rows], penalty)

    def right(found: LinearMap, vectors: np.ndarray, labels: np.ndarray) -> float:
        return float(100 * ((found(vectors) + shares).argmax(axis=1) == labels).mean())

    found = choose(len(indicators), fit, lambda found, rows: right(found, known.vectors[rows], known.labels[rows]))
    return right(found, judged.vectors, judged.labels)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors `[N, S]` at length 1; a zero one stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
