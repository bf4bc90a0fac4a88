"""The gate for uploaded bytes: what may come in, under which grant, and what is noted of it."""
