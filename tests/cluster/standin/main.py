"""The stand-in trainer as a program, which says where a test finds its process."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # Before the import, which takes a while: who kills this process waits for the file.
    Path("/tmp/pid").write_text(str(os.getpid()))
    import standin

    sys.exit(standin.run(os.environ))
