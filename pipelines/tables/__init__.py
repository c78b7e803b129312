"""The tables that runs leave: commits, manifests, leases and rewrites, and how they are read and maintained."""
