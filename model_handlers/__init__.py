"""Beam ModelHandlers, the networks they run and the model packs they load."""
