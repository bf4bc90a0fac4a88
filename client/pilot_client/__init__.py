"""Typed clients of the aggregator and the registry, for trainers, the aggregator itself and the command line."""
