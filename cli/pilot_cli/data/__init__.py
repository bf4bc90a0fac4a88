"""`pilot data`: a client's data in, and looked at; needs no server, no torch and no GPU."""
