import pytest
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.measure import Measured
from pilot_aggregator.merge.plan import Everyone, check_rule, metric_of, mixture_of, plan_kind
from pilot_proto.assignment import AdapterRef
from pilot_proto.plan import PlanInput
from pilot_proto.run import Rule

EVERYONE = Everyone(clients=("a", "b", "c"), tasks=("caption", "vqa"))
MEASURED = Measured("euclidean", ("a", "b"), ((0.0, 1.0), (1.0, 0.0)))
NEAREST = Rule(rule="nearest", neighbours=1)


def given(client: str, task: str, num_examples: int = 10) -> PlanInput:
    return PlanInput(
        client=client,
        task=task,
        repo=f"r/client-{client}-update",
        commit="0" * 40,
        digest="sha256:" + "0" * 64,
        num_examples=num_examples,
    )


def earlier(*repos: str) -> dict[str, AdapterRef]:
    return {repo: AdapterRef(repo=repo, commit="1" * 40, files={}) for repo in repos}


def test_a_client_that_is_absent_carries_its_previous_adapter():
    carried = earlier("r/client-c-text")
    plan = plan_kind("text", NEAREST, "r", [given("b", "vqa"), given("a", "vqa")], MEASURED, EVERYONE, carried)
    assert [given.client for given in plan.inputs] == ["a", "b"]
    found = {output.repo: output for output in plan.outputs}
    assert found["r/client-c-text"].carried == carried["r/client-c-text"]
    assert found["r/client-c-text"].coefficients == ()
    assert (found["r/client-a-text"].client, found["r/client-a-text"].coefficients) == ("a", (0.5, 0.5))
    assert plan.distances is not None
    assert plan.distances.matrix == MEASURED.matrix


def test_a_task_without_an_answer_carries_its_previous_adapter():
    plan = plan_kind(
        "connector",
        Rule(rule="per-task-mean"),
        "r",
        [given("a", "vqa", 10), given("b", "vqa", 30)],
        None,
        EVERYONE,
        earlier("r/task-caption-connector"),
    )
    found = {output.task: output for output in plan.outputs}
    assert found["caption"].carried is not None
    assert found["vqa"].coefficients == (0.25, 0.75)
    assert plan.distances is None


def test_a_rule_for_everybody_makes_one_global_output():
    plan = plan_kind("text", Rule(rule="mean"), "r", [given("a", "vqa")], None, EVERYONE, {})
    assert [(output.repo, output.client, output.task) for output in plan.outputs] == [("r/global-text", None, None)]


def test_declared_samples_are_capped():
    inputs = [given("a", "vqa", 10), given("b", "vqa", 10**9)]
    plan = plan_kind("text", Rule(rule="mean"), "r", inputs, None, EVERYONE, {}, max_examples=30)
    assert plan.outputs[0].coefficients == (0.25, 0.75)
    assert plan.inputs[1].num_examples == 10**9


def test_the_stored_plan_gives_the_engine_the_same_rows_again():
    plan = plan_kind(
        "text", NEAREST, "r", [given("a", "vqa"), given("b", "vqa")], MEASURED, EVERYONE, earlier("r/client-c-text")
    )
    mixed = mixture_of(type(plan).model_validate_json(plan.model_dump_json()))
    assert mixed.inputs == ("a", "b")
    assert mixed.outputs == ("r/client-a-text", "r/client-b-text")
    assert mixed.coefficients == ((0.5, 0.5), (0.5, 0.5))


def test_only_a_rule_that_looks_at_distances_has_a_metric():
    assert metric_of(Rule(rule="mean")) is None
    assert metric_of(NEAREST) == "euclidean"
    assert metric_of(Rule(rule="nearest", metric="product")) == "product"


def test_an_unknown_rule_is_refused_naming_the_known_ones():
    with pytest.raises(
        MergeRefused, match="'median' is unknown; choose one of mean, nearest, none, per-task-mean, same-task"
    ):
        check_rule(Rule(rule="median"))


def test_an_option_that_a_rule_does_not_read_is_refused():
    with pytest.raises(MergeRefused, match="rule 'mean' does not read the option 'neighbours'"):
        check_rule(Rule(rule="mean", neighbours=3))
