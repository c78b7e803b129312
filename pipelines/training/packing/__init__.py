"""Model packs from trained networks."""
