"""Feature networks `vgg19`: the feature network of the program of 2015."""

from model_handlers.families.backbone import BackboneEntry
from model_handlers.nets.vgg import VGG19


class Vgg19Entry(BackboneEntry):
    """Card entry for VGG-19.

    Attributes:
        widths: channels of the 16 convolutions.
        hidden: width of fc6.
    """

    widths: list[int]
    hidden: int

    def build(self) -> VGG19:
        """Returns the module without its weights."""
        return VGG19(self.widths, self.hidden, self.width)
