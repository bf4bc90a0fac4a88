"""Pilot on one machine: keys, the two services as processes, the demo. One system user is one trust domain."""
