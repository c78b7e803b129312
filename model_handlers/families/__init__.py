"""Families of networks, a file each: what the card says of one, and the network that it opens. `tables` has all."""
