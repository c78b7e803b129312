"""Linear models on vectors, by scikit-learn: what vectors show without a network that could learn more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties that are tried: added to the variances of the inputs, in units of their mean variance."""
_HELD_OUT = 0.2  # share of the rows that choose the penalty

Map = Callable[[np.ndarray], np.ndarray]
"""Maps the deviations of vectors `[N, S]` from the mean of the fitted ones; returns `[N, T]`."""
Fitted = TypeVar("Fitted")


@dataclass(frozen=True)
class Labelled:
    """Vectors `[N, S]` and their classes `[N]`."""

    vectors: np.ndarray
    labels: np.ndarray


def probe(known: Labelled, judged: Labelled) -> float:
    """Returns the accuracy, in percent, of a linear classifier that is fitted on some vectors and judged on others.

    It is a ridge regression on indicators of the classes. A held-out fifth of the known vectors chooses the penalty.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import GridSearchCV, ShuffleSplit

    vectors = known.vectors.astype(np.float64)  # [N, S]
    alphas = [_alpha(vectors, penalty) for penalty in PENALTIES]
    split = ShuffleSplit(1, test_size=_HELD_OUT, random_state=0)
    search = GridSearchCV(RidgeClassifier(), {"alpha": alphas}, cv=split).fit(vectors, known.labels)
    return float(100 * search.score(judged.vectors.astype(np.float64), judged.labels))


def choose(
    count: int, fit: Callable[[np.ndarray, float], Fitted], score: Callable[[Fitted, np.ndarray], float]
) -> Fitted:
    """Returns the fit on all rows, with the penalty that scores best on a held-out fifth of them.

    Args:
        count: number of rows.
        fit: returns a fit on rows, given by their places, with a penalty.
        score: returns the score of a fit on rows; higher is better.
    """
    from sklearn.model_selection import train_test_split

    fitting, judging = train_test_split(np.arange(count), test_size=_HELD_OUT, random_state=0)
    return fit(np.arange(count), max(PENALTIES, key=lambda penalty: score(fit(fitting, penalty), judging)))


def fit_ridge(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[Map, Map]:
    """Returns the ridge regression of targets `[N, T]` on vectors `[N, S]`, and a map of targets to compare it with.

    The second map is the deviation of a target from the mean of the targets.
    """
    from sklearn.linear_model import Ridge

    vectors = inputs.astype(np.float64)  # [N, S]
    model, mean = Ridge(_alpha(vectors, penalty)).fit(vectors, targets), targets.mean(axis=0, dtype=np.float64)
    return lambda found: model.predict(found) - mean, lambda wanted: wanted - mean


def fit_canonical(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[Map, Map]:
    """Returns maps of both sides to the directions in which they correlate, each scaled by its correlation.

    This is canonical correlation analysis (Hotelling 1936): the singular value decomposition of the cross-covariance
    of both sides. They are whitened by one covariance for both, since both are vectors of similar texts. What only one
    side holds has no influence.

    Args:
        inputs: vectors of one side `[N, S]`.
        targets: vectors of the other side `[N, S]`.
        penalty: one of `PENALTIES`.
    """
    from sklearn.covariance import ShrunkCovariance
    from sklearn.cross_decomposition import PLSSVD

    means = [side.mean(axis=0, dtype=np.float64) for side in (inputs, targets)]  # [S], [S]
    sides = [side - mean for side, mean in zip((inputs, targets), means, strict=True)]  # [N, S], [N, S]
    both = ShrunkCovariance(shrinkage=penalty / (1 + penalty), assume_centered=True, store_precision=False)
    covariance = both.fit(np.concatenate(sides)).covariance_  # [S, S]
    floor = 1e-12 * np.eye(len(covariance))  # [S, S]: vectors that are all the same have no covariance
    white = np.linalg.inv(np.linalg.cholesky(covariance + floor)).T  # [S, S]
    common = PLSSVD(min(inputs.shape), scale=False)
    scores = common.fit_transform(*(side @ white for side in sides))  # [N, S], [N, S]
    strengths = (scores[0] * scores[1]).mean(axis=0)  # [S]
    first, second = (white @ (turn * strengths) for turn in (common.x_weights_, common.y_weights_))  # each [S, S]
    return lambda found: (found - means[0]) @ first, lambda wanted: (wanted - means[1]) @ second


def _alpha(vectors: np.ndarray, penalty: float) -> float:
    """Returns a penalty in scikit-learn's unit, which is that of the sum over all rows."""
    return max(penalty * len(vectors) * float(vectors.var(axis=0).mean()), 1e-12)
