"""What came of a run."""

import numpy as np
import pytest
from pilot_aggregator.rounds.report import RESAMPLES, paired_interval, run_report
from pilot_proto.names import ADAPTER_FILE
from pilot_proto.update import EvaluationResult
from unit.aggregator.world import adapter, base_slots, members, said_of

CLIENTS = members({"a": "vqa", "b": "vqa", "x": "caption"})


def measured(point, round, *scores, metric="exact-match"):
    return EvaluationResult(
        point=point,
        round=round,
        split="test",
        metric=metric,
        value=sum(scores) / len(scores),
        samples=len(scores),
        scores=scores,
    )


def update(client, round, *evaluations):
    task = next(c.task for c in CLIENTS if c.name == client)
    return said_of(client, task, round=round, program="plain", evaluations=evaluations)


def said(*updates):
    found = {}
    for each in updates:
        found.setdefault(each.round, {})[each.client] = each
    return found


WHOLE = said(
    update("a", 1, measured("merged", 0, 0, 0, 1, 1), measured("local", 1, 1, 1, 1, 0)),
    update("a", 2, measured("merged", 1, 1, 0, 1, 1), measured("local", 2, 1, 1, 1, 1)),
    update("a", 3, measured("merged", 2, 1, 1, 1, 1)),
    update("b", 1, measured("merged", 0, 0, 0), measured("local", 1, 0, 1)),
    update("b", 3, measured("merged", 2, 1, 0)),
)


def report(evidence=WHOLE, **options):
    return run_report("t", "fedavg", 2, CLIENTS, evidence, base_slots(), **options)


def of(found, name):
    return next(c for c in found.clients if c.client == name)


def test_every_point_stands_in_its_column():
    a = of(report(), "a")
    assert (a.metric, a.before, a.merged, a.local) == ("exact-match", 0.5, (0.75, 1.0), (0.75, 1.0))


def test_a_point_that_was_not_measured_is_missing():
    b = of(report(), "b")
    assert (b.before, b.merged, b.local) == (0.0, (None, 0.5), (0.5, None))


def test_a_client_that_was_never_heard_of_is_listed_without_figures():
    x = of(report(), "x")
    assert (x.metric, x.before, x.merged, x.local) == ("", None, (None, None), (None, None))
    caption = next(t for t in report().tasks if t.task == "caption")
    assert (caption.before, caption.merged, caption.gain, caption.interval) == (None, None, None, None)


def test_a_task_is_the_mean_over_its_clients_and_its_gain_over_its_samples():
    vqa = next(t for t in report().tasks if t.task == "vqa")
    assert (vqa.before, vqa.merged, vqa.local) == (0.25, 0.75, 1.0)
    before, merged = [0, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]
    assert vqa.gain == pytest.approx(np.mean(merged) - np.mean(before))
    assert vqa.interval == paired_interval(before, merged)


def test_a_run_at_work_is_reported_as_far_as_it_has_come():
    found = report(said(update("a", 1, measured("merged", 0, 1, 0))))
    assert of(found, "a").before == 0.5
    assert of(found, "a").merged == (None, None)
    assert next(t for t in found.tasks if t.task == "vqa").interval is None
    assert of(report({}), "a").before is None


def test_a_client_whose_samples_changed_is_left_out_of_the_pairs():
    found = report(
        said(
            update("a", 1, measured("merged", 0, 0, 0, 0)),
            update("a", 3, measured("merged", 2, 1, 1)),
            update("b", 1, measured("merged", 0, 0, 0)),
            update("b", 3, measured("merged", 2, 1, 0)),
        )
    )
    assert next(t for t in found.tasks if t.task == "vqa").gain == 0.5


def test_scores_are_shown_only_on_request():
    assert all(c.scores is None for c in report().clients)
    asked = report(with_scores=True)
    assert of(asked, "a").scores == {"before": (0, 0, 1, 1), "merged": (1, 1, 1, 1)}
    assert of(asked, "x").scores == {}


def test_the_report_names_the_adapters_that_the_run_published_itself():
    slots = {**base_slots(), "text/client/a": adapter("other/client-a-text")}
    found = run_report("t", "fedavg", 2, CLIENTS, {}, slots)
    assert set(found.published) == {"t/base-text", "t/base-connector"} == set(found.digests)
    base = base_slots()["text/base"]
    assert found.published["t/base-text"] == base.commit
    assert found.digests["t/base-text"] == base.files[ADAPTER_FILE["text"]].digest


def test_the_interval_agrees_with_a_naive_bootstrap():
    rng = np.random.default_rng(7)
    before = rng.random(40)
    after = before + rng.normal(0.2, 0.5, 40)
    low, high = paired_interval(before, after)
    means = []
    drawing = np.random.default_rng(123)
    for _ in range(RESAMPLES):
        drawn = [int(drawing.integers(40)) for _ in range(40)]
        means.append(sum(after[i] - before[i] for i in drawn) / 40)
    means.sort()
    error = (high - low) / 10  # Monte Carlo: another stream of random numbers
    assert low == pytest.approx(means[int(0.025 * RESAMPLES)], abs=error)
    assert high == pytest.approx(means[int(0.975 * RESAMPLES)], abs=error)


def test_the_interval_is_paired_and_the_same_every_time():
    before = [0.0, 5.0, 10.0]
    assert paired_interval(before, [1.0, 6.0, 11.0]) == pytest.approx((1.0, 1.0))
    assert paired_interval([0, 1, 0], [1, 1, 0]) == paired_interval([0, 1, 0], [1, 1, 0])


def test_the_interval_of_one_sample_is_that_sample():
    assert paired_interval([1.0], [3.0]) == (2.0, 2.0)
