"""How each network of a pack is trained."""
