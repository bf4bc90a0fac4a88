"""Who was merged with whom, as tables; and how near uploads are, as figures and grounds."""

import pytest
from pilot_proto.plan import TaskMean
from pilot_reports import merge_tables, metric_tables, tidy
from pilot_reports.nearness import Nearness
from unit.reports.histories import DISTANCE, round_document

KIND = round_document(1).plan.kinds[0]


def test_a_neighbour_that_went_into_an_adapter_is_marked_in_its_line():
    table = merge_tables.distances(1, KIND)
    marked = [[cell.marked for cell in row.cells[1:]] for row in table.rows]
    assert marked == [[False, False, False], [False, False, True], [False, True, False]]
    assert "A frame" in table.note


def test_some_lines_of_the_distances_are_the_same_as_in_the_whole():
    whole, part = merge_tables.distances(1, KIND), merge_tables.distances(1, KIND, slice(1, 2))
    assert part.rows == whole.rows[1:2]
    assert part.columns == whole.columns


def test_a_neighbourhood_has_the_nearest_first_with_their_weights():
    table = merge_tables.neighbourhood(1, KIND, "vqa-1", 10)
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["vqa-2", "vqa", f"{DISTANCE:.3f}", "0.250"],
        ["cap-1", "caption", "3.000", ""],
    ]
    assert "Its own update weighs 0.750" in table.note


def test_a_neighbourhood_is_cut_and_says_so():
    table = merge_tables.neighbourhood(1, KIND, "vqa-1", 1)
    assert len(table.rows) == 1
    assert "the nearest 1 of 2" in table.note


@pytest.mark.parametrize("client", ["nobody", ""])
def test_nobody_has_no_neighbourhood(client):
    assert merge_tables.neighbourhood(1, KIND, client, 10) is None


def test_a_rule_without_distances_has_neither_table():
    plain = round_document(1, rule="mean").plan.kinds[0]
    assert merge_tables.distances(1, plain) is None
    assert merge_tables.neighbourhood(1, plain, "vqa-1", 10) is None


def test_one_that_is_far_away_does_not_make_all_others_look_alike():
    near = Nearness.of([1.0, 1.5, 2.0, 1.2, 1e6])
    shades = [near.shade(d) for d in (1.0, 1.2, 1.5, 2.0, 1e6)]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] == 1
    assert shades[-1] == 0
    assert shades[0] - shades[2] > 0.2
    assert [near.figure(d) for d in (1.25, 1e6)] == ["1.25", "1e+06"]


def test_figures_stand_in_line_where_they_are_of_one_size():
    near = Nearness.of([4.8221, 12.5, 8.0])
    assert [near.figure(d) for d in (4.8221, 12.5)] == ["4.82", "12.50"]
    assert near.shade(12.5) == 0


@pytest.mark.parametrize("distances", [[], [0.0, 0.0], [3.0], [3.0, 3.0]])
def test_equal_distances_have_no_ground(distances):
    near = Nearness.of(distances)
    assert near.shade(3.0) is None
    assert near.figure(0.0)


def test_a_matrix_is_measured_without_its_diagonal():
    assert Nearness.between([[0, 5, 7], [5, 0, 9], [7, 9, 0]]) == Nearness.of([5, 7, 9])


def test_one_round_is_tidy_too():
    lines = list(tidy.merge_of("t", 3, (KIND,)))
    assert ("t", 3, "text", "vqa-1", "vqa-2", 0.25, DISTANCE) in lines
    assert len(lines) == 9


def test_means_of_a_round_stand_by_task_and_point():
    mean = TaskMean(task="vqa", point="local", round=2, split="test", metric="iou", value=0.25, clients=2, samples=80)
    table = metric_tables.task_means([mean])
    assert [cell.text for cell in table.rows[0].cells] == ["vqa", "local 2", "iou", "test", "25.0 %", "2", "80"]
