"""What ledgers tell of runs while nobody tells more."""

from pilot_proto.plan import TaskMean
from pilot_reports.metric_tables import ledger_means

DASH = "\N{EN DASH}"


def mean(task, point, round_, value, metric="exact-match"):
    return TaskMean(
        task=task, point=point, round=round_, split="test", metric=metric, value=value, clients=2, samples=20
    )


def test_the_newest_mean_of_each_point_stands_with_its_round_and_points_are_never_mixed():
    made = ledger_means(
        {
            "a": [mean("vqa", "merged", 2, 0.5), mean("vqa", "merged", 3, 0.75), mean("vqa", "local", 3, 0.25)],
            "b": [mean("vqa", "merged", 1, 0.1), mean("caption", "local", 1, 2.5, "cider")],
        }
    )
    assert made.columns == ("task", "metric", "merged: a", "merged: b", "local: a", "local: b")
    assert [[cell.text for cell in row.cells] for row in made.rows] == [
        ["caption", "cider", DASH, DASH, DASH, "2.500 (1)"],
        ["vqa", "exact-match", "75.0 % (3)", "10.0 % (1)", "25.0 % (3)", DASH],
    ]
