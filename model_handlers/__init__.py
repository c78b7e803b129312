"""Beam ModelHandlers, the nets they run and the model packs they load."""
