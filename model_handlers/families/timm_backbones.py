"""Feature networks `timm:NAME`: the backbones of the package timm."""

from torch import nn

from model_handlers.families.backbone import BackboneEntry


class TimmEntry(BackboneEntry):
    """The card's entry for a backbone of timm, whose name stands after the colon of the family."""

    def build(self) -> nn.Module:
        """Returns the module, its weights still unknown.

        Raises:
            ValueError: timm has no network of that name.
        """
        import timm  # here: it takes seconds, which who opens other packs, or only looks at a card, need not wait

        name = self.family.partition(":")[2]
        if not timm.is_model(name):
            raise ValueError(f"timm {timm.__version__} has no network named {name!r}")
        net: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
        return net
