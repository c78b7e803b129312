"""Batch norms folded into the convolutions before them, which are then one step instead of two."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CLOSE = 1e-4  # relative to the largest feature: folding may only change the rounding


@torch.no_grad()
def fold_batch_norms(net: nn.Module, pixels: Tensor) -> nn.Module:
    """Returns the network in evaluation mode, its batch norms folded into the convolutions before them.

    If its features would change, the network stays as it was.

    Args:
        net: network; it is changed in place.
        pixels: any valid input `[N, 3, height, width]`; one forward pass shows the order of the layers.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        return net
    pairs, before = _find_pairs(net, pixels)  # before: [N, F]
    names = {module: name for name, module in net.named_modules()}
    old = {names[part]: part for pair in pairs for part in pair}
    for conv, norm in pairs:
        net.set_submodule(names[conv], fuse_conv_bn_eval(conv, norm))
        net.set_submodule(names[norm], _rest_of(norm))
    if not torch.allclose(net(pixels), before, rtol=0, atol=CLOSE * float(before.abs().max())):
        for name, module in old.items():
            net.set_submodule(name, module)
    return net


def _find_pairs(net: nn.Module, pixels: Tensor) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], Tensor]:
    """Returns each convolution whose output goes into a batch norm, with that norm; and the features `[N, F]`.

    One forward pass shows the connections and gives the features.
    """
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # tensors are kept: otherwise another one could get the same id
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(output)] = module, output
        elif isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], module))

    hooks = [module.register_forward_hook(look) for module in net.modules()]
    try:
        features = net(pixels)  # [N, F]
    finally:
        for hook in hooks:
            hook.remove()
    return pairs, features


def _rest_of(norm: nn.BatchNorm2d) -> nn.Module:
    """Returns the activation that timm's batch norms contain."""
    parts = [part for name in ("drop", "act") if isinstance(part := getattr(norm, name, None), nn.Module)]
    return nn.Sequential(*parts)
