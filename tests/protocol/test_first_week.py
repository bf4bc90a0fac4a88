"""A user's first week, as docs/first-week.md tells it: every command of the page, in order, on real parts."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import minio_server
import pages
import pytest
import sample_data
from deployments import free_ports
from environments import python_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/first-week.md"
LATE_PATIENTS = 16
MARK = "@@ command "


@pytest.fixture
def week(tmp_path):
    """The user's folder: files of three departments, and those of a fourth that comes on Thursday."""
    sample_data.write_all(tmp_path)
    with (tmp_path / "cases.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    patients = sorted({row[0] for row in rows[1:]})
    late = set(patients[-LATE_PATIENTS:])
    for name, wanted in (("cases.csv", set(patients) - late), ("triage.csv", late)):
        with (tmp_path / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([rows[0], *(row for row in rows[1:] if row[0] in wanted)])
    for name, text in pages.files(PAGE).items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.training
@pytest.mark.timeout(1200)
def test_a_first_week_from_files_to_a_personal_model(week):
    python_of("model")
    minio_server.demand_minio()
    with minio_server.serving(week / "minio") as server:
        bucket = server.bucket()
        (week / "access.key").write_text(server.access_key)
        (week / "secret.key").write_text(server.secret_key)
        port = free_ports()
        here = {
            "http://127.0.0.1:9000": f"http://{server.endpoint}",
            "S3_BUCKET=pilot": f"S3_BUCKET={bucket}",
            "pilot up": f"pilot up --port {port}",
            "http://127.0.0.1:8601": f"http://127.0.0.1:{port + 1}",
        }
        (week / "take.py").write_text(replaced((week / "take.py").read_text(), here))
        said = run_all(week, [replaced(command, here) for command in pages.commands(PAGE)])
    by_command = {command.split(" --")[0]: output for command, output in said}
    assert "dropped" in by_command["pilot data import instances.json"]
    assert by_command["python take.py"].strip()
    assert "emergency" in by_command["pilot clients ls"]
    assert "router" in by_command["pilot describe run hospital-2"]
    outside = by_command['"$PILOT/.envs/model/bin/python" answer.py'].strip().splitlines()[-1]
    assert outside == by_command["pilot predict"].strip().splitlines()[-1]
    assert (week / "report.html").stat().st_size > 10_000
    assert (week / "tables" / "metrics.csv").exists()


def replaced(text: str, here: dict[str, str]) -> str:
    """What the page says, with the addresses of this test."""
    for written, actual in here.items():
        text = text.replace(written, actual)
    return text


def run_all(folder: Path, commands: list[str]) -> list[tuple[str, str]]:
    """Run commands in one shell, as a person does; each with what it printed. The first that fails ends the test."""
    script = ["set -euo pipefail", "exec 2>&1", "trap 'jobs -p | xargs -r kill; wait' EXIT"]
    for number, command in enumerate(commands):
        script += [f"echo '{MARK}{number}'", command]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PILOT": str(ROOT),
        "HF_HOME": str(folder / "hub"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    outputs = [part.partition("\n")[2] for part in done.stdout.split(MARK)[1:]]
    said = list(zip(commands, outputs, strict=False))
    assert done.returncode == 0, f"$ {said[-1][0]}\n{said[-1][1]}"
    assert len(said) == len(commands)
    return said
