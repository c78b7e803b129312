"""Beam composites and the records that travel between them; nothing here imports torch."""
