"""What came of runs, as values: histories, comparisons, transfer, tables. Pure."""
