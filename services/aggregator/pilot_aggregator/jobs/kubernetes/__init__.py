"""Jobs of a Kubernetes cluster: one `batch/v1` Job per attempt, followed by list and watch."""
