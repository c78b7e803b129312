"""Networks that turn pixels into feature vectors, one entry a family."""

from collections.abc import Callable, Mapping
from typing import Any

import timm
from torch import nn

from model_handlers.nets.vgg import VGG19


def _vgg19(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    return VGG19(sizes["widths"], sizes["hidden"], sizes["width"])


def _timm(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    if not timm.is_model(name):
        raise ValueError(f"timm {timm.__version__} has no network named {name!r}")
    return timm.create_model(name, pretrained=False, num_classes=0)


FEATURES: dict[str, Callable[[str, Mapping[str, Any]], nn.Module]] = {"vgg19": _vgg19, "timm": _timm}


def build_backbone(family: str, sizes: Mapping[str, Any]) -> nn.Module:
    """Returns the network of a family, `vgg19` or `timm:<name>`: pixels `[N, 3, 224, 224]` to features `[N, F]`.

    Args:
        family: name of the family, for `timm` followed by a colon and the name of the network.
        sizes: widths that the family does not fix.

    Raises:
        ValueError: no such family or network.
    """
    kind, _, name = family.partition(":")
    if kind not in FEATURES:
        raise ValueError(f"feature family {family!r} is unknown; it can be {', '.join(FEATURES)}")
    return FEATURES[kind](name, sizes)
