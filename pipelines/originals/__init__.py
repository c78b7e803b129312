"""Readers of the files that were published in 2015, and their conversion into a model pack."""
