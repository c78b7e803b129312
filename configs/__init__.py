"""Run configurations and the schema that checks them."""
