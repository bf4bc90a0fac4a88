"""The command `pilot`."""
