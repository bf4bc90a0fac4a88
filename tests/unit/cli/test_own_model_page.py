"""docs/own-model-and-gpus.md: every command of the page, in order."""

import os
import subprocess
import sys
from pathlib import Path

from pages import commands

PAGE = Path(__file__).parents[3] / "docs/own-model-and-gpus.md"


def test_every_command_of_the_page_works(tmp_path):
    here = Path(sys.executable).parent
    script = "\n".join(["set -e", *commands(PAGE)])
    environment = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}
    told = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert len(commands(PAGE)) == 7
    assert "adapts 9 layers" in told.stdout
    assert '"sent": 61248' in told.stdout
