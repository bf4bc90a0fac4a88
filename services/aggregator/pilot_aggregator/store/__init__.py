"""What the aggregator remembers, in SQL. The only package that knows there is a database."""
