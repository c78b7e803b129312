"""The training loop and its parts: arithmetic, optimisers, curves, settings, files."""
