"""The parts of `pipelines.plan`: the photos that are due, the time a photo takes, and the estimate of a night."""
