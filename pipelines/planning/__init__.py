"""What `pipelines.plan` is made of: what is to be told, what a photo takes, and what a night would."""
