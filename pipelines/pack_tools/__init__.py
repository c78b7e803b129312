"""Tools that make, change, compare and check model packs."""
