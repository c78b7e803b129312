"""Recipes for training each network of a pack."""
