"""Who went into what a client was handed, beside what it gained."""

import pytest
from pilot_proto.assignment import AdapterRef
from pilot_proto.plan import KindPlan, PlanOutput
from pilot_proto.run import Rule
from pilot_reports import tidy
from pilot_reports.contributions import MOST_NAMES, against_gain, contributions
from pilot_reports.transfer import transfers
from unit.reports.histories import CLIENTS, client_report, history, round_document


def kind(*outputs: PlanOutput) -> KindPlan:
    (made,) = round_document(2).plan.kinds
    return made.model_copy(update={"outputs": outputs})


OWN = PlanOutput(repo="r/client-vqa-1-text", client="vqa-1", task="vqa", coefficients=(0.125, 0.5, 0.375))
TASK = PlanOutput(repo="r/task-vqa-connector", task="vqa", coefficients=(0.0, 0.25, 0.75))
ALL = PlanOutput(repo="r/global-text", coefficients=(0.5, 0.25, 0.25))


@pytest.mark.parametrize(
    ("outputs", "client", "own", "others"),
    [
        ((ALL, TASK, OWN), "vqa-1", 0.5, [("vqa-2", 0.375), ("cap-1", 0.125)]),
        ((ALL, TASK), "vqa-1", 0.25, [("vqa-2", 0.75)]),
        ((ALL, TASK), "vqa-2", 0.75, [("vqa-1", 0.25)]),
        ((ALL, TASK), "cap-1", 0.5, [("vqa-1", 0.25), ("vqa-2", 0.25)]),
        ((TASK,), "vqa-9", 0.0, [("vqa-2", 0.75), ("vqa-1", 0.25)]),
    ],
)
def test_what_was_made_for_a_client_comes_before_its_tasks_and_before_everybodys(outputs, client, own, others):
    found = contributions(kind(*outputs), client, "caption" if client == "cap-1" else "vqa")
    assert (found.own, list(found.others)) == (own, others)


def test_where_nothing_was_made_nothing_went_in():
    assert contributions(kind(TASK), "cap-1", "caption") is None


def test_an_adapter_that_was_carried_over_has_no_contributions():
    earlier = AdapterRef(repo="r/task-vqa-connector", commit="a" * 40, files={})
    found = contributions(kind(TASK.model_copy(update={"coefficients": (), "carried": earlier})), "vqa-1", "vqa")
    assert (found.own, found.others) == (0.0, ())
    assert found.output.carried is not None


@pytest.fixture
def found():
    """vqa-1 gained 0.2 over training alone and vqa-2 lost 0.1; cap-1 was measured in one run only."""
    alone = tuple(client_report(c, t, (0.3, 0.4), (0.3, 0.4)) for c, t in CLIENTS.items() if c != "cap-1")
    ends = {"cap-1": 0.9, "vqa-1": 0.6, "vqa-2": 0.3}
    together = tuple(client_report(c, t, (0.3, ends[c]), (0.3, 0.5)) for c, t in CLIENTS.items())
    (made,) = transfers([history("p", clients=together), history("alone", "local", clients=alone)])
    return made


def test_shares_of_the_own_task_and_of_others_stand_beside_the_gain(found):
    made = against_gain(round_document(2), kind(OWN, TASK, ALL), CLIENTS, found)
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in made.rows}
    assert rows["vqa-1"] == ["vqa", "vqa-2 0.375, cap-1 0.125", "0.500", "0.375", "0.125", "+20.0"]
    assert rows["vqa-2"][-2:] == ["\N{EN DASH}", "\N{MINUS SIGN}10.0"]
    assert rows["cap-1"][-1] == "\N{EN DASH}"
    assert [row.cells[0].text for row in made.rows] == ["cap-1", "vqa-1", "vqa-2"]
    assert "does not explain" in made.note


def test_a_mean_over_many_names_a_few_and_counts_the_rest(found):
    names = [f"c-{i:02}" for i in range(20)]
    (template,) = round_document(2).plan.kinds
    inputs = tuple(template.inputs[0].model_copy(update={"client": name, "task": "t"}) for name in names)
    output = PlanOutput(repo="r/global-text", coefficients=(0.05,) * 20)
    whole = KindPlan(kind="text", rule=Rule(rule="mean"), inputs=inputs, outputs=(output,))
    made = against_gain(round_document(2), whole, dict.fromkeys(names, "t"), found)
    assert made.rows[0].cells[2].text.endswith(f"and {19 - MOST_NAMES} more")
    assert [cell.text for cell in made.rows[0].cells[3:6]] == ["0.050", "0.950", "\N{EN DASH}"]


def test_every_gain_is_one_line_of_a_tidy_table(found):
    lines = list(tidy.gains([found]))
    assert all(len(line) == len(tidy.GAINS) for line in lines)
    points = {(line[2], line[5]): line[6] for line in lines}
    assert points["vqa-1", "merged"] == pytest.approx(0.2)
    assert points["vqa-1", "local"] == pytest.approx(0.1)
    assert lines[0][:2] == ("p", "alone")
