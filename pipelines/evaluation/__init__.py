"""What a model pack is worth, in figures: one task a module."""
