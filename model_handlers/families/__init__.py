"""Families of networks, one file each: the card's entry and the network that it opens; `tables` lists all."""
