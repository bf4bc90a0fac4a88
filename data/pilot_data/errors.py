"""What is wrong with a client's data."""


class DataError(Exception):
    """A dataset that cannot be used; says which file, what the rule is and what to do."""
