"""Training of the networks of the chain, and assembly of a model pack from the trained networks."""
