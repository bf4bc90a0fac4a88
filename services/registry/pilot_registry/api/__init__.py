"""Routes: parse, call, return a model."""
