"""Feature networks `timm:NAME`: backbones of the package timm."""

from torch import nn

from model_handlers.families.backbone import BackboneEntry


class TimmEntry(BackboneEntry):
    """Card entry for a backbone of timm, named after the colon of the family."""

    def build(self) -> nn.Module:
        """Returns the module without its weights.

        Raises:
            ValueError: timm has no network of that name.
        """
        import timm  # here, since the import takes seconds, which other packs do not need

        name = self.family.partition(":")[2]
        if not timm.is_model(name):
            raise ValueError(f"timm {timm.__version__} has no network named {name!r}")
        net: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
        return net
