"""HTTP manners that the two services share: problems, keys and roles, cursors, idempotency, health and metrics."""
