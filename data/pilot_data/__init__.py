"""A client's data: what a record is, how files become records, and how answers are scored."""
