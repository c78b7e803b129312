"""Linear maps: known ones are found again, penalties choose, probes separate what can be separated."""

import numpy as np
import pytest

from pipelines.evaluation.linear import PENALTIES, Labelled, choose, fit_canonical, fit_ridge, probe


def test_ridge_finds_a_linear_map_and_its_penalty_shrinks_it() -> None:
    draw = np.random.default_rng(0)
    vectors, weights = draw.normal(size=(200, 4)) + 3, draw.normal(size=(4, 2))
    found, wanted = fit_ridge(vectors, vectors @ weights + 7, 1e-9)
    unseen = draw.normal(size=(50, 4))
    np.testing.assert_allclose(found(unseen), (unseen - vectors.mean(axis=0)) @ weights, atol=1e-6)
    np.testing.assert_allclose(wanted(unseen @ weights + 7), found(unseen), atol=1e-6)
    one = np.asarray([[-1.0], [1.0]])  # variance 1: a penalty of 1 halves the map
    assert fit_ridge(one, one * [6, 2], 1.0)[0](one) == pytest.approx(one * [3, 1])


def test_canonical_maps_keep_what_goes_together() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(5000, 3)), draw.normal(size=(5000, 3))
    second[:, 2] = 7 - 5 * first[:, 0]
    maps = fit_canonical(first, second, 1e-6)
    one, other = maps[0](first), maps[1](second)
    assert np.corrcoef(one[:, 0], first[:, 0])[0, 1] ** 2 > 0.99
    assert np.corrcoef(one[:, 0], other[:, 0])[0, 1] > 0.99
    assert abs(one.mean(axis=0)).max() < 1e-9 and abs(other.mean(axis=0)).max() < 1e-9
    assert one[:, 1:].std() < 0.05 * one[:, 0].std()  # each direction as long as its correlation


def test_canonical_penalty_by_hand() -> None:
    sides = np.asarray([[3**0.5, 1], [3**0.5, -1], [-(3**0.5), 1], [-(3**0.5), -1]])  # variances 3 and 1
    first, second = fit_canonical(sides, sides, 1.0)[0](sides).std(axis=0)  # 3 and 1 beside 3 + 2 and 1 + 2
    assert first / second == pytest.approx((3 / 5) ** 1.5 / (1 / 3) ** 1.5)


def test_the_penalty_that_scores_best_fits_all_rows() -> None:
    fits: list[tuple[int, float]] = []

    def fit(rows: np.ndarray, penalty: float) -> float:
        fits.append((len(rows), penalty))
        return penalty

    def score(penalty: float, rows: np.ndarray) -> float:
        assert len(rows) == 20
        return -abs(penalty - PENALTIES[2])

    assert choose(100, fit, score) == PENALTIES[2]
    assert fits == [*((80, penalty) for penalty in PENALTIES), (100, PENALTIES[2])]


def test_a_probe_names_what_vectors_hold_and_nothing_else() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 1200)
    centres = 4 * np.eye(3, 5)
    vectors = centres[labels] + 0.3 * draw.normal(size=(1200, 5))
    assert probe(Labelled(vectors[:600], labels[:600]), Labelled(vectors[600:], labels[600:])) > 99
    noise = draw.normal(size=(1200, 5))
    assert 25 < probe(Labelled(noise[:600], labels[:600]), Labelled(noise[600:], labels[600:])) < 42
