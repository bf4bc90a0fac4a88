"""`python -m pilot_trainer`: see `program.py`."""

import os
import sys

from pilot_trainer.program import run

if __name__ == "__main__":
    sys.exit(run(os.environ))
