import json

import pytest
import typer
from pilot_cli.merge import merge
from typer.testing import CliRunner


@pytest.fixture
def pilot_merge(save, lora, tmp_path):
    app = typer.Typer()
    app.command()(merge)
    sources = [str(save(name, lora(seed))) for seed, name in enumerate("abc")]

    def call(*arguments):
        return CliRunner().invoke(app, [*sources, "--out", str(tmp_path / "out"), *arguments])

    return call


def test_the_command_merges_and_shows_what_went_into_what(pilot_merge, tmp_path):
    done = pilot_merge("--rule", "nearest", "--neighbours", "1", "--combine", "convex", "--metric", "product")
    assert done.exit_code == 0, done.output
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    assert plan["names"] == ["a", "b", "c"]
    assert plan["metric"] == "product"
    assert [sum(c > 0 for c in row) for row in plan["coefficients"]] == [2, 2, 2]
    assert "0.500 a" in done.output


def test_weights_and_tasks_are_lists_in_the_order_of_the_inputs(pilot_merge, tmp_path):
    done = pilot_merge("--rule", "per-task-mean", "--weights", "10,20,30", "--tasks", "x,y,x")
    assert done.exit_code == 0, done.output
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    assert plan["coefficients"] == [[0.25, 0.0, 0.75], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--rule", "mean", "--weights", "1,two,3"], 2, "'1,two,3' is not a list of counts"),
        (["--rule", "nearest", "--neighbours", "-1"], 2, "--neighbours -1"),
        (["--rule", "nearest", "--combine", "median"], 2, "--combine 'median'"),
        (["--rule", "median"], 1, "rule 'median' is unknown; choose one of"),
        (["--rule", "mean", "--neighbours", "2"], 1, "does not read the option 'neighbours'"),
        (["--rule", "mean", "--weights", "1,2"], 1, "2 weights for 3 inputs"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(pilot_merge, tmp_path, arguments, code, message):
    done = pilot_merge(*arguments)
    assert (done.exit_code, (tmp_path / "out").exists()) == (code, False)
    assert message in done.stderr
