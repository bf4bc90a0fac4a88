"""Where jobs run: a port, and what stands behind it."""
