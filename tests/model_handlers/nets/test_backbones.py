"""Families of feature networks: one entry in one table."""

from collections.abc import Mapping
from typing import Any

import pytest
import timm
import torch
from torch import nn

from model_handlers.nets.backbones import FEATURES, build_backbone
from model_handlers.nets.vgg import VGG19

NARROW = {"widths": [1] * 16, "hidden": 4, "width": 5}


@torch.inference_mode()
def test_vgg19_has_the_cards_widths() -> None:
    net = build_backbone("vgg19", NARROW)
    assert isinstance(net, VGG19)
    assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 5)


@torch.inference_mode()
def test_a_timm_network_gives_features_and_no_classes() -> None:
    torch.manual_seed(0)
    net = build_backbone("timm:test_resnet", {}).eval()
    pixels = torch.rand(2, 3, 224, 224)  # [2, 3, 224, 224]
    features = net(pixels)  # [2, F]
    assert features.shape == (2, net.num_features)
    plain = timm.create_model("test_resnet", pretrained=False).eval()
    plain.load_state_dict(net.state_dict(), strict=False)
    pooled = plain.forward_head(plain.forward_features(pixels), pre_logits=True)  # [2, F]
    torch.testing.assert_close(features, pooled)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("alexnet", "feature family 'alexnet' is unknown; it can be vgg19, timm"),
        ("timm:no_such_network", "has no network named 'no_such_network'"),
        ("timm", "has no network named ''"),
    ],
)
def test_unknown_families_are_refused(family: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_backbone(family, NARROW)


def test_a_new_family_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def flat(name: str, sizes: Mapping[str, Any]) -> nn.Module:
        return nn.Linear(sizes["side"], int(name))

    monkeypatch.setitem(FEATURES, "flat", flat)
    assert build_backbone("flat:7", {"side": 2})(torch.zeros(1, 2)).shape == (1, 7)
