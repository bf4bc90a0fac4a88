"""What a data folder holds, and what is wrong with it; no torch, no GPU."""
