"""The registry: adapters as content-addressed, immutable versions; the linearisation point of a round."""
