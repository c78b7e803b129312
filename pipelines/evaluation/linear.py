"""Linear readings of vectors, by scikit-learn: what they hold without a network that could learn it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""What a fit adds to its inputs' variances, in units of their mean variance."""
_HELD_OUT = 0.2  # of the rows choose the penalty

Map = Callable[[np.ndarray], np.ndarray]
"""Returns the mapped deviations `[N, T]` of vectors `[N, S]` from the mean of those that it was fitted on."""
Fitted = TypeVar("Fitted")


@dataclass(frozen=True)
class Labelled:
    """Vectors `[N, S]` and the class of each `[N]`."""

    vectors: np.ndarray
    labels: np.ndarray


def probe(known: Labelled, judged: Labelled) -> float:
    """Returns how often a linear classifier names the class, in percent, fitted on some vectors and judged on others.

    It is the ridge regression of the classes' indicators; a held-out fifth of the known vectors chooses the penalty.
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
        count: rows.
        fit: makes a fit of some rows, given by their places, with a penalty.
        score: of a fit on some rows; higher is better.
    """
    from sklearn.model_selection import train_test_split

    fitting, judging = train_test_split(np.arange(count), test_size=_HELD_OUT, random_state=0)
    return fit(np.arange(count), max(PENALTIES, key=lambda penalty: score(fit(fitting, penalty), judging)))


def fit_ridge(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[Map, Map]:
    """Returns the ridge regression of targets `[N, T]` on vectors `[N, S]`, and what it is compared with.

    The second map is the deviation of a target from the mean of the targets.
    """
    from sklearn.linear_model import Ridge

    vectors = inputs.astype(np.float64)  # [N, S]
    model, mean = Ridge(_alpha(vectors, penalty)).fit(vectors, targets), targets.mean(axis=0, dtype=np.float64)
    return lambda found: model.predict(found) - mean, lambda wanted: wanted - mean


def fit_canonical(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[Map, Map]:
    """Returns maps of both sides to the directions in which they go together, each as long as its correlation.

    This is canonical correlation analysis (Hotelling 1936): the singular value decomposition of the cross-covariance
    of both sides, made white by one covariance for both, since both are vectors of like texts. What one side holds and
    the other does not falls away.

    Args:
        inputs: `[N, S]`.
        targets: `[N, S]`.
        penalty: of `PENALTIES`.
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
    """Returns a penalty as scikit-learn counts it: of the sum over all rows."""
    return max(penalty * len(vectors) * float(vectors.var(axis=0).mean()), 1e-12)
