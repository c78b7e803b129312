"""Training of the networks of the chain, and the assembly of a model pack from what was trained."""
