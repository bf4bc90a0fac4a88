"""The personal model of a client: base, connector and text adapter in one place."""
