"""Measures of the quality of a model pack; one task per module."""
