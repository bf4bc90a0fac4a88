"""What a run will cost, counted before it is started: `pilot estimate`."""
