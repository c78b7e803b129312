"""The tables that runs write: commits, manifests, leases and rewrites, and how they are read and maintained."""
