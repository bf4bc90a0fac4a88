"""What a person can do wrong when merging."""


class MergeRefused(ValueError):
    """These inputs cannot be merged this way; the message says what is wrong, the rule, and what to do next."""
