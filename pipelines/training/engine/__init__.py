"""The training loop and what it needs: arithmetic, optimisers, curves, settings, files."""
