"""How a state is drawn: its word stands there always, the tone gives it a sign and a colour."""

TONES = {
    "work": {"Preparing", "Training", "Merging", "Evaluating", "Running", "Assigned", "Sealed", "Planned", "Merged"},
    "good": {"Succeeded", "Answered", "Published", "live", "identical", "count", "counted"},
    "bad": {"Failed", "Lost", "Cancelled", "different", "refused", "left out"},
    "warning": {"Partial", "Unknown", "Disrupted", "Excluded", "deleted", "inputs_deleted", "nothing_merged"},
    "held": {"Held", "Paused", "AwaitingTrigger", "AwaitingVerdict", "drop"},
}


def tone(state: str) -> str:
    """`work`, `good`, `bad`, `warning`, `held`, or empty for what only waits."""
    return next((tone for tone, states in TONES.items() if state in states), "")
