"""The richer shift's map: by hand in two directions, and the spread of what it maps."""

import numpy as np
import pytest

from transforms.spreading import shrink, transport


def covariance(seed: int, width: int = 6) -> np.ndarray:
    """Returns a covariance `[S, S]` whose directions differ by a factor of some tens."""
    draw = np.random.RandomState(seed)
    axes, _ = np.linalg.qr(draw.randn(width, width))
    return (axes * np.geomspace(0.2, 5, width)) @ axes.T


def test_the_map_by_hand() -> None:
    found = transport(np.diag([4.0, 1.0]), np.diag([1.0, 9.0]))
    np.testing.assert_allclose(found, [[0.5, 0], [0, 3]], atol=1e-12)
    np.testing.assert_allclose(transport(np.diag([4.0, 1.0]), np.diag([1.0, 9.0]), most=2), [[0.5, 0], [0, 2]])


def test_what_is_mapped_differs_as_the_target_does() -> None:
    source, target = covariance(1), covariance(2)
    found = transport(source, target, most=100)
    np.testing.assert_allclose(found @ source @ found.T, target, atol=1e-10)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > 0  # nothing is turned round: least movement
    samples = np.random.RandomState(3).multivariate_normal(np.zeros(6), source, 20_000) @ found.T
    np.testing.assert_allclose(np.cov(samples.T), target, atol=0.15)


def test_directions_without_spread_are_stretched_no_further_than_the_limit() -> None:
    source = np.diag([1.0, 1e-12, 0.0])
    found = transport(source, np.eye(3), most=4)
    np.testing.assert_allclose(found, np.diag([1.0, 4.0, 4.0]), atol=1e-6)


def test_the_same_spread_stays() -> None:
    np.testing.assert_allclose(transport(covariance(1), covariance(1)), np.eye(6), atol=1e-10)


def test_few_samples_are_shrunk_and_many_are_not() -> None:
    draw, true = np.random.RandomState(5), covariance(1, 20)
    shares = []
    for count in (3, 30, 300, 30_000):
        sampled = np.cov(draw.multivariate_normal(np.zeros(20), true, count).T, bias=True)
        found = shrink(sampled, count)
        even = np.trace(sampled) / 20 * np.eye(20)
        share = float(((found - sampled) * (even - sampled)).sum() / ((even - sampled) ** 2).sum())
        np.testing.assert_allclose(found, (1 - share) * sampled + share * even, atol=1e-10)
        assert np.trace(found) == pytest.approx(np.trace(sampled))
        assert count > 30 or np.linalg.norm(found - true) < np.linalg.norm(sampled - true)
        shares.append(share)
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.5 and shares[-1] < 0.01
    np.testing.assert_allclose(shrink(np.eye(3), 5), np.eye(3))
