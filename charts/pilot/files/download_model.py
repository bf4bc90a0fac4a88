"""Fetches a base model from a Hugging Face hub into /model. What is there already is not fetched again."""

import os
import sys

from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def main() -> int:
    """The exit code: 1 when another try would not help either."""
    repository, revision = os.environ["REPOSITORY"], os.environ["REVISION"]
    try:
        snapshot_download(repository, revision=revision, local_dir="/model", allow_patterns=WANTED)
    except GatedRepoError:
        print(f"{repository} is gated: accept its terms, and name a Secret with your token in tokenSecret")
        return 1
    except RevisionNotFoundError:
        print(f"{repository} has no revision {revision}")
        return 1
    except RepositoryNotFoundError:
        print(f"there is no model {repository}, or the token may not read it (download.tokenSecret)")
        return 1
    print(f"{repository} at {revision} is in /model")
    return 0


if __name__ == "__main__":
    sys.exit(main())
