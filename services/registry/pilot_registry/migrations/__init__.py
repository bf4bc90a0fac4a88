"""The schema's history, run from inside the wheel."""
