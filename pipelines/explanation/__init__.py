"""What `pipelines.explain` is made of: the stored story, the same told again, and both in words."""
