"""Digit scenes: a federation of nine clients with three tasks over real handwriting, small enough for a wheel."""
