"""Training data: photos, captions, books and stories as arrays."""
