"""Feature networks that are one torch module: VGG-19 and those of timm."""

from collections.abc import Callable

import pytest
import timm
import torch

from model_handlers.families.timm_backbones import TimmEntry
from model_handlers.families.vgg19 import Vgg19Entry
from model_handlers.nets.vgg import VGG19
from model_handlers.pack import Pack
from model_handlers.pack_card import PackError
from model_handlers.pack_writer import PackWriter

NARROW = {"family": "vgg19", "widths": [1] * 16, "hidden": 4, "width": 5, "weights": "w.safetensors"}


@torch.inference_mode()
def test_vgg19_has_the_cards_widths() -> None:
    net = Vgg19Entry.model_validate(NARROW).build()
    assert isinstance(net, VGG19)
    assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 5)


def timm_entry(family: str) -> TimmEntry:
    return TimmEntry(family=family, width=5, weights="w.safetensors")


@torch.inference_mode()
def test_a_timm_network_gives_features_and_no_classes() -> None:
    torch.manual_seed(0)
    net = timm_entry("timm:test_resnet").build().eval()
    pixels = torch.rand(2, 3, 224, 224)  # [2, 3, 224, 224]
    features = net(pixels)  # [2, F]
    assert features.shape == (2, net.num_features)
    plain = timm.create_model("test_resnet", pretrained=False).eval()
    plain.load_state_dict(net.state_dict(), strict=False)
    pooled = plain.forward_head(plain.forward_features(pixels), pre_logits=True)  # [2, F]
    torch.testing.assert_close(features, pooled)


@pytest.mark.parametrize("name", ["no_such_network", ""])
def test_networks_that_timm_has_not_are_refused(tiny_pack: Callable[..., Pack], name: str) -> None:
    with pytest.raises(ValueError, match=f"has no network named '{name}'"):
        timm_entry(f"timm:{name}").build()

    def edit(writer: PackWriter) -> None:
        writer.components["features"]["family"] = f"timm:{name}"

    pack = tiny_pack("other", edit)
    with pytest.raises(PackError, match=f"does not fit the card .*has no network named '{name}'"):
        pack.features.open(pack, torch.device("cpu"))
