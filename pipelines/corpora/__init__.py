"""Texts to learn from: books and captions, tokenised and cut."""
