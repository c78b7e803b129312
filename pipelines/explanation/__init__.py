"""The parts of `pipelines.explain`: the stored story, the repeated one, and the report on both."""
