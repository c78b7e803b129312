"""Plain torch networks, searches and text rules; they know nothing of Beam, packs or configurations."""
