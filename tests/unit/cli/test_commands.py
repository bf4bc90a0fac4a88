"""The command against the aggregator: what it prints, and how it ends."""

import json

import pytest
import yaml
from pilot_cli.main import COMMANDS, app
from pilot_proto.plan import Ledger, LedgerEntry
from pilot_proto.run import Condition, Progress
from typer.main import get_command
from unit.aggregator.world import MODEL, NOW, base_slots, document, history, open_round, published_of

LISTED = [
    *(
        "init",
        "demo",
        "up",
        "login",
        "run",
        "trigger",
        "pause",
        "resume",
        "cancel",
        "retry",
        "verdict",
        "wait",
        "validate",
    ),
    *("get", "describe", "logs", "compare", "report", "pull", "diff", "verify", "merge", "export", "predict"),
    *("doctor", "estimate", "explain", "context", "data", "alias", "adapters", "registry", "clients"),
]


def test_the_commands_are_exactly_these():
    """A new command is a decision: change the list here, and the README with it."""
    assert list(get_command(app).commands) == LISTED


@pytest.mark.parametrize("name", LISTED)
def test_every_command_has_a_help_that_begins_with_a_sentence(pilot, name):
    told = pilot(name, "--help")
    assert told.code == 0
    assert f"Usage: pilot {name}" in told.out
    assert get_command(app).commands[name].help


def test_help_lists_every_command(pilot):
    told = pilot("--help").out
    assert [name for name in LISTED if f"\n  {name}" not in told] == []


def test_the_version_is_told(pilot):
    assert pilot("--version").out.startswith("pilot 0.")


def test_commands_are_grouped():
    assert {panel for panel, _ in COMMANDS} == {"Run", "Look", "Adapters", "On this machine"}


# -- a run


@pytest.fixture
def file(elsewhere):
    def write(name="run.yaml", **spec):
        path = elsewhere / name
        path.write_text(yaml.safe_dump(document(**spec), sort_keys=False))
        return path

    return write


@pytest.fixture
def started(deployed, pilot, file):
    """A run whose round 1 is open, with one client at work."""
    assert pilot("run", "-f", file()).code == 0
    store = deployed.service.store
    run = store.run("t")
    open_round(store, run, 0)
    store.adopt_publication(run.uid, 0, published_of(0, []), base_slots(), {}, MODEL, NOW)
    open_round(store, run, 1, history())
    in_phase(deployed, "Training")
    deployed.service.attempts.launch(store.run("t"), 1, {"vqa-1": 1})
    deployed.service.attempts.follow(store.attempts(run.uid, 1))
    deployed.service.board[run.uid, 1, "vqa-1"] = (Progress(step=3, total_steps=9, loss=1.25), NOW)
    return store.run("t")


def in_phase(deployed, phase, *conditions):
    store = deployed.service.store
    store.write_status(store.run("t"), phase=phase, conditions=conditions, round=1, ended_at=None)


def test_run_starts_a_run(deployed, pilot, file):
    told = pilot("run", "-f", file())
    assert (told.code, told.out, told.err) == (0, "run/t started\n", "")
    assert deployed.service.store.run("t") is not None


def test_run_under_another_name(deployed, pilot, file):
    assert pilot("run", "-f", file(), "--name", "u").out == "run/u started\n"


def test_run_with_a_key_starts_once(deployed, pilot, file):
    for _ in range(2):
        assert pilot("run", "-f", file(), "--idempotency-key", "k1").code == 0
    assert len(deployed.service.store.runs(None, 9, None)) == 1


def test_a_dry_run_shows_what_it_expands_to_and_starts_nothing(deployed, pilot, file):
    told = pilot("run", "-f", file(), "--dry-run")
    assert told.code == 0
    assert yaml.safe_load(told.out)["spec"]["training"]["lora"]["r"] == 64
    assert "# clients: cap-1, vqa-1, vqa-2" in told.out
    assert "# warning: task 'caption' has one client" in told.out
    assert "# nothing was started" in told.out
    assert deployed.service.store.run("t") is None


def test_a_fault_in_a_file_is_told_with_its_line_before_anything_is_sent(pilot, elsewhere):
    (elsewhere / "run.yaml").write_text("apiVersion: pilot/v1alpha1\nkind: Run\nspec: {modell: tiny}\n")
    told = pilot("run", "-f", "run.yaml")
    assert told.code == 2
    assert "run.yaml:3:8: unknown key 'modell' (did you mean 'model'?)" in told.err


def test_a_fault_that_only_the_server_can_see_is_told_with_its_line_too(deployed, pilot, file):
    path = file(clients=["vqa-1", "vqa-9"])
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "vqa-9" in text)
    told = pilot("run", "-f", path)
    assert told.code == 2
    assert f"run.yaml:{line}:5: unknown client 'vqa-9' (the federation has: cap-1, vqa-1, vqa-2)" in told.err


def test_run_with_another_kind_of_file(pilot, elsewhere):
    dataset = {"task": "vqa", "metric": "exact-match", "splits": {"train": {"file": "train.json"}}}
    body = {"apiVersion": "pilot/v1alpha1", "kind": "Dataset", "metadata": {"name": "d"}, "spec": dataset}
    (elsewhere / "dataset.yaml").write_text(yaml.safe_dump(body))
    told = pilot("run", "-f", "dataset.yaml")
    assert (told.code, "describes a Dataset, not a Run" in told.err) == (2, True)


# -- steering


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pause", "t"], "run/t pausing (phase Training)"),
        (["resume", "t"], "run/t resumed (phase Training)"),
        (["cancel", "t"], "run/t cancelling (phase Training)"),
        (["trigger", "t"], "run/t triggered (phase Training)"),
        (["trigger", "t", "--through", "2"], "run/t triggered (phase Training)"),
        (["retry", "t", "--client", "vqa-2"], "run/t retrying vqa-2 (phase Training)"),
    ],
)
def test_a_verb_says_what_it_asked_for(started, pilot, arguments, told):
    outcome = pilot(*arguments)
    assert (outcome.code, outcome.out) == (0, told + "\n")


def test_a_verdict_on_nothing_held_is_a_conflict_and_says_what_is_held(deployed, started, pilot):
    in_phase(deployed, "Merging")
    outcome = pilot("verdict", "t", "drop", "--client", "vqa-1", "--reason", "odd")
    assert (outcome.code, "is not held [not_held]" in outcome.err) == (5, True)


@pytest.mark.parametrize(
    ("phase", "arguments", "code"),
    [
        ("Succeeded", ["wait", "run/t"], 0),
        ("Succeeded", ["wait", "t"], 0),
        ("Training", ["wait", "run/t", "--for", "Training"], 0),
        ("Failed", ["wait", "run/t"], 1),
        ("Succeeded", ["wait", "run/t", "--for", "Failed"], 1),
        ("Training", ["wait", "run/t", "--timeout", "0"], 6),
    ],
)
def test_wait_ends_with_the_phase_the_end_or_the_time(deployed, started, pilot, phase, arguments, code):
    if phase != "Training":
        in_phase(deployed, phase, Condition(type="Failed", reason="QuorumMissed", message="nobody came"))
    told = pilot(*arguments)
    assert told.code == code
    if phase == "Failed":
        assert "QuorumMissed: nobody came" in told.err
        assert "pilot describe run t" in told.err


# -- exit codes


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["describe", "run", "nobody"], 3, "[not_found]"),
        (["run", "-f", "run.yaml"], 5, "[name_taken]"),
        (["verdict", "t", "drop", "--client", "vqa-1", "--reason", "x"], 5, "[wrong_phase]"),
        (["trigger", "t", "--through", "99"], 2, "/through: the run has 4 rounds, not 99"),
        (["describe", "round", "t"], 2, "not of the form RUN/ROUND"),
        (["describe", "round", "t/x"], 2, "'x' is not a round"),
        (["describe", "client", "t/nobody"], 3, "clients: cap-1, vqa-1, vqa-2"),
        (["pull", "nonsense"], 2, "is not NAMESPACE/REPOSITORY"),
        (["pull", "t/nothing"], 3, "[not_found]"),
        (["nonsense"], 2, "No such command"),
        (["get", "nonsense"], 2, "nonsense"),
        (["get"], 2, "Missing argument"),
        (["demo", "--method", "nonsense"], 2, "methods: pilot, local, fedavg"),
    ],
)
def test_every_trouble_has_its_exit_code_and_its_words(started, pilot, arguments, code, said):
    told = pilot(*arguments)
    assert (told.code, told.out) == (code, "")
    assert said in told.err


def test_a_complaint_is_what_why_and_what_next(started, pilot):
    lines = pilot("describe", "run", "nobody").err.splitlines()
    assert lines[0].startswith("error: there is no run 'nobody' [not_found]")
    assert lines[-1] == "next: the newest runs: t"


@pytest.mark.parametrize(("token", "arguments"), [("wrong", ["get", "runs"]), ("viewer", ["pause", "t"])])
def test_who_may_not_ends_with_4(started, pilot, monkeypatch, token, arguments):
    monkeypatch.setenv("PILOT_TOKEN", token)
    assert pilot(*arguments).code == 4


def test_a_service_that_is_away_ends_with_1_and_says_what_to_try(deployed, pilot, monkeypatch):
    monkeypatch.setenv("PILOT_URL", "http://127.0.0.1:1")
    told = pilot("get", "runs")
    assert told.code == 1
    assert "http://127.0.0.1:1 did not answer" in told.err
    assert "pilot doctor" in told.err


# -- looking


def test_get_runs_is_a_table(started, pilot):
    head, row = pilot("get", "runs").out.splitlines()
    assert head.split() == ["NAME", "METHOD", "PHASE", "ROUND", "CONDITIONS", "AGE"]
    assert row.split()[:5] == ["t", "pilot", "Training", "1/3", "-"]


def test_get_wide_adds_columns(started, pilot):
    assert pilot("get", "runs", "-o", "wide").out.split()[6:8] == ["MODEL", "UID"]


@pytest.mark.parametrize("what", ["runs", "rounds", "clients"])
def test_json_and_yaml_hold_the_same_document_and_nothing_else(started, pilot, what):
    as_json, as_yaml = (pilot("get", what, "-o", form).out for form in ("json", "yaml"))
    assert json.loads(as_json) == yaml.safe_load(as_yaml)
    assert json.loads(as_json)["items"]


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("runs", ["run/t"]),
        ("rounds", ["round/t/0", "round/t/1"]),
        ("clients", ["client/cap-1", "client/vqa-1", "client/vqa-2"]),
    ],
)
def test_names_are_one_to_a_line(started, pilot, what, names):
    assert pilot("get", what, "-o", "name").out.splitlines() == names


def test_get_clients_shows_who_is_where(started, pilot):
    rows = {line.split()[0]: line.split()[1:] for line in pilot("get", "clients").out.splitlines()}
    assert rows["vqa-1"] == ["vqa", "Running", "1", "3/9", "1.250"]
    assert rows["vqa-2"] == ["vqa", "Waiting", "0", "-", "-"]


def test_get_rounds_counts_and_names_who_was_left_out(deployed, started, pilot):
    entries = (
        LedgerEntry(client="vqa-1", task="vqa", answered=True, counted=True),
        LedgerEntry(client="vqa-2", task="vqa", answered=False, counted=False, reason="Late"),
    )
    made = Ledger(run="t", round=1, program="stage-1", entries=entries)
    deployed.service.store.store_step(started.uid, 1, NOW, "RoundPlanned", "", ledger=made)
    told = pilot("get", "rounds", "t", "-o", "wide").out
    assert "1/2" in told
    assert "vqa-2 (Late)" in told


def test_an_empty_list_says_so(deployed, pilot):
    assert pilot("get", "runs").out == "nothing yet\n"
    assert json.loads(pilot("get", "runs", "-o", "json").out) == {"items": []}


def test_without_a_run_there_are_no_clients_to_list(deployed, pilot):
    told = pilot("get", "clients")
    assert (told.code, "pilot run -f" in told.err) == (3, True)


def test_a_list_longer_than_a_page_is_whole(deployed, pilot, file):
    for number in range(3):
        pilot("run", "-f", file(), "--name", f"r{number}")
    assert len(pilot("get", "runs", "-o", "name").out.splitlines()) == 3


def test_describe_is_yaml_by_default(started, pilot):
    assert yaml.safe_load(pilot("describe", "run", "t").out)["status"]["phase"] == "Training"
    assert yaml.safe_load(pilot("describe", "round", "t/1").out)["program"] == "stage-1"
    assert json.loads(pilot("describe", "client", "t/vqa-1", "-o", "json").out)["now"]["state"] == "Running"


def test_logs_are_printed_as_they_are(started, pilot):
    told = pilot("logs", "t", "--client", "vqa-1").out
    assert told.startswith("log of pilot-")
