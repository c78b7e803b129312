"""What makes, changes, compares and checks model packs."""
