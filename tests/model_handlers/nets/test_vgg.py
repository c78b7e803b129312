"""VGG-19 against Lasagne's output for a narrow network of random weights, and its layout against torchvision's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.models import vgg19

from model_handlers.nets.vgg import CONVOLUTIONS, VGG19, WIDTHS, convolution_places

GOLDEN = Path(__file__).parents[2] / "golden"
NARROW = tuple(width // 16 for width in WIDTHS)


def golden_weights() -> dict[str, Tensor]:
    """Returns the state dict of the narrow network that Lasagne ran: draws of `RandomState(8)` in Lasagne's order."""
    draw = np.random.RandomState(8)

    def normal(*shape: int, scale: float) -> Tensor:
        return torch.from_numpy((draw.randn(*shape) * scale).astype("float32"))  # [shape]

    state, channels = {}, 3
    for name, width in zip(CONVOLUTIONS, NARROW, strict=True):
        key = f"features.{convolution_places()[name]}"
        state[f"{key}.weight"] = normal(width, channels, 3, 3, scale=np.sqrt(2.0 / (channels * 9)))
        state[f"{key}.bias"] = normal(width, scale=0.1)
        channels = width
    inputs = channels * 49
    for place in (0, 3):
        state[f"classifier.{place}.weight"] = normal(inputs, 4096, scale=np.sqrt(2.0 / inputs)).T
        state[f"classifier.{place}.bias"] = normal(4096, scale=0.1)
        inputs = 4096
    return state


def pixels(name: str) -> Tensor:
    """Returns a photo preprocessed as SPEC section 2 says, `[1, 3, 224, 224]`."""
    image = np.array(Image.open(GOLDEN / "images" / name)).astype("float64")
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    height, width = image.shape[:2]
    size = (256, width * 256 // height) if height < width else (height * 256 // width, 256)
    resized = functional.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None], size, mode="bilinear")
    top, left = size[0] // 2 - 112, size[1] // 2 - 112
    cropped = resized[:, [2, 1, 0], top : top + 224, left : left + 224]
    means = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)
    return (cropped - means[:, None, None]).float()  # [1, 3, 224, 224]


@pytest.fixture(scope="module")
def narrow() -> VGG19:
    net = VGG19(NARROW)
    net.load_state_dict(golden_weights())
    return net.eval()


@pytest.mark.parametrize("name", ["chelsea.png", "gray.png"])
@torch.inference_mode()
def test_layers_equal_those_of_lasagne(narrow: VGG19, name: str) -> None:
    golden = np.load(GOLDEN / "vgg_tiny.npz")
    maps = narrow.features(pixels(name))  # [1, 32, 7, 7]
    np.testing.assert_allclose(maps, golden[f"{name}_pool5"], rtol=1e-4, atol=1e-3)
    features = narrow(pixels(name))  # [1, 4096]
    scale = golden[f"{name}_fc7"].max()
    np.testing.assert_allclose(features, golden[f"{name}_fc7"], atol=1e-5 * scale)


@torch.inference_mode()
def test_a_batch_equals_its_photos_one_by_one(narrow: VGG19) -> None:
    batch = torch.cat([pixels("chelsea.png"), pixels("gray.png")])  # [2, 3, 224, 224]
    singles = torch.cat([narrow(row[None]) for row in batch])  # [2, 4096]
    torch.testing.assert_close(narrow(batch), singles, rtol=1e-5, atol=1e-2)


def test_parameters_are_those_of_torchvision() -> None:
    with torch.device("meta"):
        ours, theirs = VGG19().state_dict(), vgg19().state_dict()
    expected = {name: value.shape for name, value in theirs.items() if not name.startswith("classifier.6")}
    assert {name: value.shape for name, value in ours.items()} == expected


@torch.inference_mode()
def test_features_equal_those_of_torchvision() -> None:
    torch.manual_seed(0)
    theirs, ours = vgg19(num_classes=1).eval(), VGG19().eval()
    ours.load_state_dict({name: value for name, value in theirs.state_dict().items() if "classifier.6" not in name})
    batch = torch.rand(1, 3, 224, 224)  # [1, 3, 224, 224]
    expected = theirs.classifier[:5](torch.flatten(theirs.features(batch), 1))  # [1, 4096]
    assert torch.equal(ours(batch), expected)


def test_another_number_of_widths_is_refused() -> None:
    with pytest.raises(ValueError, match="16 convolutions, not 15"):
        VGG19(NARROW[:15])
