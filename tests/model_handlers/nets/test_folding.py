"""Batch norms in the convolutions before them: the same features, by fewer steps."""

import pytest
import timm
import torch
from torch import Tensor, nn

from model_handlers.nets.folding import fold_batch_norms


def shaken(net: nn.Module) -> nn.Module:
    """Returns the network with batch norms that do something."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                values.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return net.eval().requires_grad_(False)


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit"])
def test_features_stay_the_same(name: str) -> None:
    net = shaken(timm.create_model(name, pretrained=False, num_classes=0))
    side = net.pretrained_cfg["input_size"][1]
    pixels, others = torch.randn(1, 3, side, side), torch.randn(3, 3, side, side)
    before, had = net(others), norms(net)  # [3, F]
    folded = fold_batch_norms(net, pixels)
    torch.testing.assert_close(folded(others), before, rtol=1e-4, atol=1e-5)
    assert norms(folded) == 0 and (had > 0) == (name != "test_vit")


class Twice(nn.Module):
    """A convolution whose output is taken twice, once without the batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.conv(pixels)  # [N, 4, H, W]
        return (self.norm(maps) + maps).mean(dim=(2, 3))  # [N, 4]


def test_a_network_that_folding_would_change_stays() -> None:
    net, pixels = shaken(Twice()), torch.randn(2, 3, 5, 5)
    before = net(pixels)  # [2, 4]
    assert norms(fold_batch_norms(net, pixels)) == 1 and torch.equal(net(pixels), before)
