"""What a record and a prompt share."""

IMAGE = "<image>"
"""The mark of an image in a text."""

Turn = tuple[str, str]
"""A question and its answer, without image marks."""
