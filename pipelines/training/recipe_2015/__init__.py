"""The recipes of 2015: how the original networks were trained."""
