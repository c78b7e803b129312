"""Views of training photos: the whole photo as the pack sees it, and crops of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipelines.training.data import photo_features as features
from pipelines.training.data.photo_features import PREPROCESSING, SIDE, extract_features, in_timm_names, load_view
from transforms.preprocessing import preprocess

HEIGHT, WIDTH = 300, 400


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Returns a photo whose red says how far right a pixel is, and whose green how far down."""
    down, right = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([right * 255 // WIDTH, down * 255 // HEIGHT, right * 0], axis=2)  # [height, width, 3]
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_view_0_is_what_the_pack_sees(photo: Path) -> None:
    view = load_view(photo, 5, 0)
    assert view.shape == (3, SIDE, SIDE) and view.dtype == np.float32
    assert np.array_equal(view, preprocess(_pixels(photo), PREPROCESSING))
    assert np.array_equal(view, load_view(photo, 6, 0))


def test_a_view_depends_on_its_number_and_the_photos_place_alone(photo: Path) -> None:
    views = {(place, view): load_view(photo, place, view) for place in (5, 6) for view in (1, 2, 3)}
    for (place, view), pixels in views.items():
        assert np.array_equal(pixels, load_view(photo, place, view))
    assert len({pixels.tobytes() for pixels in views.values()}) == len(views)


@pytest.mark.parametrize(("view", "mirrored"), [(1, True), (2, False), (3, True), (4, False)])
def test_odd_views_are_mirrored(photo: Path, monkeypatch: pytest.MonkeyPatch, view: int, mirrored: bool) -> None:
    rising = load_view(photo, 0, view)[0].mean(axis=0)  # [260]: red, from left to right
    assert (np.diff(rising) <= 0).all() if mirrored else (np.diff(rising) >= 0).all()
    monkeypatch.setattr(features, "LEAST_SHARE", 1.0)
    whole = _pixels(photo)[:, :: -1 if mirrored else 1]
    assert np.array_equal(load_view(photo, 0, view), preprocess(whole, PREPROCESSING))


def test_a_crop_is_four_fifths_of_a_side_at_least(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []
    monkeypatch.setattr(features, "preprocess", lambda pixels, _: sides.append(pixels.shape[:2]) or pixels)
    for place in range(200):
        load_view(photo, place, 2)
    heights, widths = np.asarray(sides).T
    assert 0.8 * HEIGHT <= heights.min() < 0.82 * HEIGHT and 0.98 * HEIGHT < heights.max() <= HEIGHT
    assert 0.8 * WIDTH <= widths.min() < 0.82 * WIDTH and 0.98 * WIDTH < widths.max() <= WIDTH


class Means(nn.Module):
    """A backbone whose features are the channels' means."""

    num_features = 3

    def forward(self, pixels: Tensor) -> Tensor:
        """Returns means `[N, 3]` of pixels `[N, 3, 260, 260]`."""
        return pixels.mean(dim=(2, 3))


def test_features_are_made_in_batches_and_kept(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "lite_backbone", lambda: (Means(), torch.zeros(0)))
    stored = tmp_path / "prepared" / "features_2.npy"
    found = extract_features([photo] * 3, stored, view=2, batch_size=2)
    wanted = [load_view(photo, place, 2).mean(axis=(1, 2)) for place in range(3)]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert [file.name for file in stored.parent.iterdir()] == ["features_2.npy"]
    monkeypatch.setattr(features, "lite_backbone", lambda: pytest.fail("made again"))
    assert np.array_equal(extract_features([photo] * 3, stored, view=2), found)
    monkeypatch.setattr(features, "lite_backbone", lambda: (Means(), torch.zeros(0)))
    assert len(extract_features([photo] * 4, stored, view=2)) == 4, "other photos than those that were kept"


def test_weights_take_the_backbones_names_in_order_and_must_fit() -> None:
    net = nn.Linear(2, 3)
    weights = {"a": torch.ones(3, 2), "b": torch.zeros(3)}
    assert list(in_timm_names(weights, net)) == ["weight", "bias"]
    with pytest.raises(ValueError, match="have different shapes of weight"):
        in_timm_names(weights | {"a": torch.ones(2, 3)}, net)
    with pytest.raises(ValueError, match="1 tensors, but the backbone has 2"):
        in_timm_names({"a": torch.ones(3, 2)}, net)
