"""The Beam pipeline that prepares corpora of any size."""
