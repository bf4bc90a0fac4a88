"""What came of runs, in one file: for reading (HTML), for counting (CSV), for comparing elsewhere (MLflow)."""
