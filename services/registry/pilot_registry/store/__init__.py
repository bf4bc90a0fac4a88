"""Where bytes live: a port, and its implementation in a folder."""
