"""How far a client's update was from its task's mean, as far as a stored plan tells. Pure."""

from pilot_proto.plan import KindPlan

from pilot_reports.centroid import to_mean

MEANS = {
    "euclidean": "the mean of the task's updates, number by number",
    "euclidean-delta": "the same mean, where each tensor counts by how far the round moved it",
    "product": "the mean of the products B A, which no merged adapter equals",
}
"""What the mean is, by metric. All three are Euclidean distances between points of some kind; of another metric nothing
says that it is one, and then its distances tell of no mean."""


def to_task_mean(plan: KindPlan, client: str) -> float | None:
    """None where the plan has no distances or not this client, where it is alone with its task, or where the metric
    has no mean."""
    found = next((each for each in plan.inputs if each.client == client), None)
    if found is None or plan.distances is None or plan.distances.metric not in MEANS:
        return None
    members = [i for i, each in enumerate(plan.inputs) if each.task == found.task]
    if len(members) < 2:
        return None
    matrix = plan.distances.matrix
    distances = to_mean([[matrix[i][j] for j in members] for i in members])
    return distances[members.index(plan.inputs.index(found))]
