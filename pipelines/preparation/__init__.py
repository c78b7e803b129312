"""Books and captions become training corpora, by a Beam pipeline."""
