"""VGG-19 (Simonyan and Zisserman 2014, configuration E) up to fc7: the feature network of 2015."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CONVOLUTIONS = tuple(
    f"conv{block}_{place}" for block, count in enumerate((2, 2, 4, 4, 4), start=1) for place in range(1, count + 1)
)
"""Caffe's names of the convolutions, in order."""

POOLED = frozenset(["conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"])
"""Convolutions that a 2 x 2 max pool follows."""

WIDTHS = (64, 64, 128, 128, *[256] * 4, *[512] * 8)
SIDE = 7


class VGG19(nn.Module):
    """Turns pixels into feature vectors: fc7 after its ReLU (SPEC section 3).

    Parameters have torchvision's names (`features.N`, `classifier.0`, `classifier.3`). There is neither torchvision's
    adaptive pool, an identity at 224 pixels, nor dropout, and fc8 is left out.

    Args:
        widths: channels of the 16 convolutions.
        hidden: width of fc6.
        width: F, width of fc7.

    Raises:
        ValueError: the widths are not 16.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, hidden: int = 4096, width: int = 4096) -> None:
        super().__init__()
        if len(widths) != len(CONVOLUTIONS):
            raise ValueError(f"VGG-19 has {len(CONVOLUTIONS)} convolutions, not {len(widths)}")
        layers: list[nn.Module] = []
        channels = 3
        for name, wide in zip(CONVOLUTIONS, widths, strict=True):
            layers += [nn.Conv2d(channels, wide, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
            if name in POOLED:
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            channels = wide
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(channels * SIDE * SIDE, hidden), nn.ReLU(inplace=True), nn.Identity(),  # the place of a dropout
            nn.Linear(hidden, width), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        """Returns feature vectors `[N, F]` from pixels `[N, 3, 224, 224]`: B, G, R around their means."""
        maps = self.features(pixels)  # [N, C, 7, 7]
        features: Tensor = self.classifier(torch.flatten(maps, start_dim=1))  # [N, F]
        return features


def convolution_places() -> dict[str, int]:
    """Returns each convolution's place in `VGG19.features`, by Caffe's name."""
    places, place = {}, 0
    for name in CONVOLUTIONS:
        places[name] = place
        place += 3 if name in POOLED else 2
    return places
