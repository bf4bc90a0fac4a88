"""What a round's clients measured, by task."""

import pytest
from pilot_aggregator.rounds.task_means import task_means
from pilot_proto.canonical import digest_of
from pilot_proto.update import EvaluationResult, PreparedModel, Update

DIGEST = digest_of(b"")


def said(client: str, task: str, *results: EvaluationResult) -> Update:
    return Update(
        run="digits",
        round=2,
        client=client,
        task=task,
        program="stage-2",
        assignment=DIGEST,
        model=PreparedModel(digest=DIGEST, name="tiny"),
        num_examples=1,
        evaluations=results,
    )


def result(value: float, point: str = "merged", round_: int = 1, samples: int = 10) -> EvaluationResult:
    return EvaluationResult(
        point=point, round=round_, split="test", metric="iou", value=value, samples=samples, scores=(value,)
    )


def test_each_client_counts_once_and_points_stay_apart():
    means = task_means(
        [
            said("a", "vqa", result(0.2, samples=30), result(0.9, "local", 2)),
            said("b", "vqa", result(0.4), result(0.7, "local", 2)),
        ]
    )
    found = {(m.point, m.round): (m.value, m.clients, m.samples) for m in means}
    assert found == {("merged", 1): (pytest.approx(0.3), 2, 40), ("local", 2): (pytest.approx(0.8), 2, 20)}


def test_a_task_that_one_client_measured_has_no_mean():
    means = task_means(
        [said("a", "vqa", result(0.2)), said("b", "caption", result(0.4)), said("c", "caption", result(0.6))]
    )
    assert [(m.task, m.clients) for m in means] == [("caption", 2)]


def test_no_score_of_a_sample_is_in_it_and_no_clients_name():
    (mean,) = task_means([said("secret-1", "vqa", result(0.25)), said("secret-2", "vqa", result(0.75))])
    assert "secret" not in mean.model_dump_json()
    assert set(mean.model_dump()) == {"task", "point", "round", "split", "metric", "value", "clients", "samples"}
