"""What a round's page is made of: the clients' parts, the lines of a merge, the drawing of its distances."""

import re

import pytest
from pilot_proto.assignment import AdapterRef
from pilot_proto.plan import GivenVerdict, KindPlan, Ledger, LedgerEntry, MergePlan, PlanOutput
from pilot_proto.run import Rule
from pilot_registry.round_account import Accepted, Granted, RoundAccount
from pilot_registry.ui.views.heat_map import LARGEST, heat_map
from pilot_registry.ui.views.meanings import CODES, WORDS, meanings
from pilot_registry.ui.views.merge_lines import FEW, PARTS, kind_merge
from pilot_registry.ui.views.round_clients import Wanted, columns_of, page_of, parts_of
from pilot_registry.ui.views.round_page import head, neighbours_of
from unit.registry.ui.fake_aggregator import client_status, timeline
from unit.registry.ui.large_rounds import large_round


def entry(client, task="vqa", *, counted=True, **more):
    return LedgerEntry(client=client, task=task, answered=counted, counted=counted, **more)


def ledger(*entries):
    return Ledger(run="t", round=1, program="stage-1", entries=entries)


def many(number):
    return {f"client-{i:03d}": f"task-{i % 3}" for i in range(number)}


def text_of(number):
    return large_round(many(number)).plan.kinds[0]


# -- clients


def test_the_ledger_has_the_last_word_on_who_counted():
    seen = (client_status("vqa-1", state="Answered"),)
    (part,) = parts_of(ledger(entry("vqa-1", counted=False, reason="Refused")), seen, None, {})
    assert (part.state, part.tone, part.counted, part.reason) == ("left out", "bad", False, "Refused")


def test_before_the_ledger_there_is_what_is_seen_now_by_name():
    seen = (client_status("vqa-2"), client_status("cap-1", "caption", state="Lost", reason="Stalled"))
    first, second = parts_of(None, seen, None, {})
    assert (first.client, first.reason, first.answered, first.counted) == ("cap-1", "Stalled", False, None)
    assert (second.client, second.state) == ("vqa-2", "Running")


@pytest.mark.parametrize("state", ["Answered", "Held", "Excluded"])
def test_how_the_job_of_an_answer_ended_is_no_reason(state):
    (part,) = parts_of(None, (client_status(state=state, reason="x", message="the round was sealed"),), None, {})
    assert (part.answered, part.reason, part.message) == (True, "", "")


def test_the_registry_alone_knows_who_may_take_part_and_who_has_answered():
    known = RoundAccount(
        run="t",
        round=1,
        sealed=False,
        granted=(Granted(client="a", task="vqa"), Granted(client="b", task="vqa")),
        accepted=(Accepted(client="b", commit="0" * 40, at="2026-01-01T00:00:00.000Z"),),
        rounds=(0, 1),
    )
    assert [(p.client, p.state, p.answered) for p in parts_of(None, (), known, {})] == [
        ("a", "asked", False),
        ("b", "Answered", True),
    ]
    assert parts_of(None, (), None, {}) == ()


def test_results_stand_with_their_client():
    result = {"point": "local", "round": 2, "metric": "iou", "value": 0.5}
    first, second = parts_of(ledger(entry("a"), entry("b")), (), None, {"b": (result,)})
    assert first.measured == {}
    assert second.measured == {"local 2": "50.0 %"}
    assert columns_of((first, second)) == ((), ("local 2",))


def test_that_everybody_began_anew_is_not_told():
    first = parts_of(ledger(entry("a", started=("client",)), entry("b", started=("client",))), (), None, {})
    assert [part.started for part in first] == [(), ()]
    later = parts_of(ledger(entry("a", started=("client",)), entry("b")), (), None, {})
    assert [part.started for part in later] == [("client",), ()]


@pytest.mark.parametrize(
    ("wanted", "limit", "after", "shown", "following", "matching"),
    [
        (Wanted(), 2, None, ["a", "b"], "b", 3),
        (Wanted(), 2, "b", ["c"], None, 3),
        (Wanted(), 3, None, ["a", "b", "c"], None, 3),
        (Wanted(task="caption"), 2, None, ["a"], None, 1),
        (Wanted(outcome="left-out"), 2, None, ["b"], None, 1),
        (Wanted(outcome="flagged"), 2, None, ["c"], None, 1),
        (Wanted(outcome="nonsense"), 9, None, ["a", "b", "c"], None, 3),
        (Wanted(task="nobody"), 2, None, [], None, 0),
    ],
)
def test_clients_come_in_pages(wanted, limit, after, shown, following, matching):
    entries = entry("a", "caption"), entry("b", counted=False), entry("c", flags=("suspicious",))
    found = page_of(parts_of(ledger(*entries), (), None, {}), wanted, limit, after)
    assert ([part.client for part in found[0]], found[1], found[2]) == (shown, following, matching)


# -- the head


def test_who_is_held_is_told_only_while_the_run_waits():
    from unit.registry.ui.test_rounds import GATE

    told = timeline(published_at=None)
    assert head("stage-1", (), told, (GATE,), {}, holds=True).held == ("vqa-2",)
    assert head("stage-1", (), told, (GATE,), {}, holds=False).held == ()
    decided = {"vqa-2": GivenVerdict(client="vqa-2", verdict="count", reason="x")}
    assert head("stage-1", (), told, (GATE,), decided, holds=True).held == ()


@pytest.mark.parametrize(
    ("rounds", "number", "known", "expected"),
    [((0, 1, 2), 1, 1, (0, 2)), ((0, 1, 2), 0, 0, (None, 1)), ((0, 1), 1, 1, (0, None)), ((0, 1), 1, 2, (0, 2))],
)
def test_rounds_lead_to_those_beside_them(rounds, number, known, expected):
    account = RoundAccount(run="t", round=number, sealed=True, rounds=rounds)
    assert neighbours_of(account, number, known) == expected


# -- who was merged with whom


def test_of_few_clients_the_whole_tables_stand_there():
    made = kind_merge(1, text_of(FEW), {}, None)
    assert len(made.coefficients.rows) == len(made.distances.rows) == FEW
    assert made.lines == ()


def test_of_many_the_lines_of_those_on_the_page():
    made = kind_merge(1, text_of(FEW + 1), {}, "client-003", frozenset({"client-003"}))
    assert (made.coefficients, made.distances) == (None, None)
    (line,) = made.lines
    assert (line.name, line.own, line.more) == ("client-003", 0.4, 0)
    assert len(line.parts) == 6
    assert made.neighbourhood.rows[0].cells[2].text <= made.neighbourhood.rows[1].cells[2].text


def test_a_line_leads_to_what_the_reader_may_open():
    outputs = {"digits/client-client-000-text": ("a" * 40, True), "digits/client-client-001-text": ("b" * 40, False)}
    few = kind_merge(1, text_of(3), outputs, None)
    assert few.links == {"client-000": f"/ui/adapters/digits/client-client-000-text?rev={'a' * 40}"}
    lines = kind_merge(1, text_of(FEW + 1), outputs, None).lines
    assert [(line.commit, line.visible) for line in lines[:3]] == [("a" * 40, True), ("b" * 40, False), ("", False)]


def kind_of(*outputs, clients=3):
    inputs = text_of(clients).inputs
    return KindPlan(kind="connector", rule=Rule(rule="mean"), inputs=inputs, outputs=outputs)


def test_the_members_of_a_task_stand_together_and_even_weights_once():
    made = kind_merge(1, kind_of(PlanOutput(repo="t/x", task="vqa", coefficients=(0.5, 0.0, 0.5))), {}, None)
    (line,) = made.lines
    assert (line.name, line.own, line.even) == ("vqa", None, True)
    assert [part.client for part in line.parts] == ["client-000", "client-002"]


def test_what_everybody_gets_is_cut_with_what_the_rest_weighs():
    weights = tuple(1 / 40 if i else 1 - 39 / 40 + 0.001 for i in range(40))
    (line,) = kind_merge(1, kind_of(PlanOutput(repo="t/x", coefficients=weights), clients=40), {}, None).lines
    assert (line.name, len(line.parts), line.more, line.even) == ("everybody", PARTS, 40 - PARTS, False)
    assert line.more_weight == pytest.approx((40 - PARTS) / 40)


def test_what_nobody_contributes_to_is_carried():
    before = AdapterRef(repo="t/x", commit="c" * 40, files={})
    (line,) = kind_merge(1, kind_of(PlanOutput(repo="t/x", task="vqa", carried=before)), {}, None).lines
    assert (line.carried, line.commit, line.visible) == (True, "c" * 40, False)


# -- the drawing


def squares(paths):
    """(line, column) of every square of some paths."""
    found = []
    for x, y, length in re.findall(r"M(\d+) (\d+)\.5h(\d+)", "".join(paths)):
        found += [(int(y), int(x) + i) for i in range(int(length))]
    return found


def test_every_pair_has_one_square_and_nobody_is_paired_with_himself():
    made = heat_map(text_of(9))
    found = squares(made.shades)
    assert sorted(found) == [(i, j) for i in range(9) for j in range(9) if i != j]


def test_tasks_are_blocks_and_the_closest_pair_is_the_darkest():
    plan = text_of(9)
    made = heat_map(plan)
    assert [(band.task, band.first, band.count) for band in made.bands] == [
        *(("task-0", 0, 3), ("task-1", 3, 3), ("task-2", 6, 3))
    ]
    order = sorted(range(9), key=lambda i: (plan.inputs[i].task, plan.inputs[i].client))
    pairs = {(i, j): plan.distances.matrix[a][b] for i, a in enumerate(order) for j, b in enumerate(order) if i != j}
    assert min(pairs, key=pairs.get) in squares(made.shades[-1:])
    assert max(pairs, key=pairs.get) in squares(made.shades[:1])


def test_a_dot_for_each_that_went_into_anothers_adapter():
    plan = text_of(9)
    others = sum(
        1 for i, output in enumerate(plan.outputs) for j, weight in enumerate(output.coefficients) if weight and i != j
    )
    assert heat_map(plan).chosen.count("M") == others == 9 * 6


def test_what_cannot_be_drawn_is_not():
    assert heat_map(kind_of()) is None
    assert heat_map(text_of(1)) is None
    size = LARGEST + 1
    large = text_of(2).model_copy(update={"inputs": text_of(2).inputs * (size // 2 + 1)})
    assert heat_map(large) is None


def test_equal_distances_are_drawn_alike():
    plan = text_of(3)
    same = plan.distances.model_copy(update={"matrix": ((0, 2, 2), (2, 0, 2), (2, 2, 0))})
    made = heat_map(plan.model_copy(update={"distances": same}))
    assert [bool(path) for path in made.shades] == [True, *[False] * 9]


# -- words


def test_every_word_of_a_ledger_that_is_no_code_is_explained():
    assert {"Late", "Lost", "Failed", "Flagged", "Refused"} <= set(WORDS)
    assert {"norm_outlier", "suspicious", "duplicate_content"} <= set(WORDS)
    assert not set(WORDS) & set(CODES)


def test_meanings_are_each_told_once_and_unknown_words_are_left_out():
    assert [each.word for each in meanings(["non_finite", "Late", "non_finite", "told_to", ""])] == [
        "Late",
        "non_finite",
    ]


def test_a_plan_of_nothing_is_no_merge():
    assert MergePlan(run="t", round=4, program="evaluate").kinds == ()
