"""What single rounds came to, as tables: both points apart, and two rounds point by point."""

import pytest
from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_reports.round_tables import Measured, at_round, between
from pilot_reports.tables import Table

DASH = "\N{EN DASH}"


def report(name: str = "r", metric: str = "exact-match", **merged: tuple[float | None, ...]) -> RunReport:
    """Of clients a-1, a-2 and b-1: the letter is the task; `local` is half of `merged`."""
    clients = [
        ClientReport(
            client=client.replace("_", "-"),
            task=client[0],
            metric=metric,
            before=0.1,
            merged=values,
            local=tuple(value and value / 2 for value in values),
        )
        for client, values in merged.items()
    ]
    tasks = [
        TaskReport(task=task, metric=metric, before=None, merged=None, local=None)
        for task in sorted({client.task for client in clients})
    ]
    return RunReport(
        run=name, method="m", rounds=2, clients=tuple(clients), tasks=tuple(tasks), published={}, digests={}
    )


BOTH = report(a_1=(0.2, 0.4), a_2=(0.4, None), b_1=(0.6, 0.8))


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_one_client_has_a_line_with_both_points():
    found = at_round(Measured(BOTH, 2, client="a-1"))
    assert found.columns == ("client", "metric", "before", "merged 2", "local 2")
    assert texts(found) == [["a-1", "exact-match", "10.0 %", "40.0 %", "20.0 %"]]


def test_a_task_has_a_mean_only_where_all_its_clients_were_measured():
    first, second = (at_round(Measured(BOTH, number, task="a")) for number in (1, 2))
    assert texts(first)[0] == ["a", "exact-match", "10.0 %", "30.0 %", "15.0 %"]
    assert first.rows[0].strong
    assert texts(second)[0] == ["a", "exact-match", "10.0 %", DASH, DASH]


def test_everybody_has_lines_by_task():
    assert [line[0] for line in texts(at_round(Measured(BOTH, 1)))] == ["a", "a-1", "a-2", "b-1"]


@pytest.mark.parametrize(("number", "line"), [(0, ["10.0 %", "10.0 %", DASH]), (3, ["10.0 %", DASH, DASH])])
def test_before_the_first_round_and_after_the_last_there_is_nothing_to_make_up(number, line):
    assert texts(at_round(Measured(BOTH, number, client="a-1"))) == [["a-1", "exact-match", *line]]


def test_two_rounds_are_compared_point_by_point():
    found = between(Measured(BOTH, 1, client="a-1"), Measured(BOTH, 2, client="a-1"))
    assert found.columns[2:] == ("merged: r 1", "merged: r 2", "change", "local: r 1", "local: r 2", "change")
    assert texts(found) == [["a-1", "exact-match", "20.0 %", "40.0 %", "+20.0", "10.0 %", "20.0 %", "+10.0"]]


def test_two_runs_are_compared_where_both_measured_the_same_client():
    other = report("s", a_2=(0.1, 0.1), c_1=(0.5, 0.5))
    found = between(Measured(BOTH, 1), Measured(other, 1))
    assert texts(found) == [["a-2", "exact-match", "40.0 %", "10.0 %", "\N{MINUS SIGN}30.0", *texts(found)[0][5:]]]


@pytest.mark.parametrize(
    "other",
    [
        Measured(report("s", "cider", a_1=(0.1, 0.1)), 1),
        Measured(report("s", b_1=(0.1, 0.1)), 1, client="b-1"),
        Measured(report("s", a_1=(None, None)), 1),
    ],
)
def test_what_has_nothing_in_common_has_no_line(other: Measured):
    assert between(Measured(BOTH, 1, client="a-1"), other).rows == ()
