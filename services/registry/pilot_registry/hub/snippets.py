"""How to take an adapter away: text that a person copies, each pinned to a commit. For the card and the pages. Pure.

Names of repositories, runs and clients are quoted for their language, whoever chose them.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pilot_proto.manifest import Manifest

PREAMBLE = """\
from peft import PeftModel
from transformers import LlavaForConditionalGeneration

base = LlavaForConditionalGeneration.from_pretrained(os.environ["BASE_MODEL"])
"""


@dataclass(frozen=True)
class Snippet:
    """One way."""

    name: str
    title: str
    language: Literal["sh", "python"]
    text: str
    says: str = ""
    """What to know before."""
    run_by: str = ""
    """The test that runs it; empty where nothing has."""


def snippets(m: Manifest, commit: str, url: str) -> tuple[Snippet, ...]:
    """Every way there is for a version, the whole model first. `url` is the registry's own address."""
    return tuple(_snippets(m, commit, url))


def _snippets(m: Manifest, commit: str, url: str) -> Iterator[Snippet]:
    yield from _personal(m)
    yield Snippet("place", "Once, in the shell: where, and who you are", "sh", place(url), KEY, HUB)
    yield Snippet("download", "Its files, with huggingface_hub", "python", download(m, commit), "", HUB)
    if m.kind == "text":
        says = "`BASE_MODEL` is the folder of the base."
        yield Snippet("peft", "The LoRA, with peft", "python", peft_by_folder(m, commit), says, PEFT)
        yield Snippet("peft-by-name", "The same by its name", "python", peft_by_name(m, commit), BY_NAME, PEFT)
    yield Snippet("hf", "Its files, with the Hub's command", "sh", hf(m, commit), "", HUB)
    yield Snippet("pull", "Its files, with pilot", "sh", pull(m, commit), PULL, HUB)
    yield Snippet("curl", "Its files, with curl", "sh", curl(m, commit), "", HUB)
    if m.kind == "text":
        yield Snippet("vllm", "Served by vLLM, after the download", "sh", vllm(m), VLLM)


HUB, PEFT, TRAINING = "tests/hub/test_snippets.py", "tests/hub/test_peft.py", "tests/protocol/test_real_training.py"
KEY = "The file holds your key, and nothing else."
BY_NAME = (
    "With `HF_ENDPOINT` set to the registry's address before Python starts, peft loads it by name. That setting "
    "holds for the whole process: the base model is then asked of the registry too, which does not have it. So "
    "name the base by its folder."
)
PULL = "Every file is verified by its digest. After `pilot login` no variable is needed."
VLLM = "vLLM loads LoRAs only: without its connector this is not the model that was trained."
WHERE_STATE_IS = "Run it where the client's private state is; nothing is sent."


def place(url: str) -> str:
    """Variables that the other snippets read."""
    return f"""\
export PILOT_REGISTRY_URL={shlex.quote(url)}
export PILOT_TOKEN_FILE="$HOME/pilot.key"
export HF_TOKEN_PATH="$PILOT_TOKEN_FILE"
"""


def download(m: Manifest, commit: str) -> str:
    """With huggingface_hub, into its cache."""
    return f"""\
import os

from huggingface_hub import snapshot_download

folder = snapshot_download(
    {json.dumps(m.repo)},
    revision={json.dumps(commit)},
    endpoint=os.environ["PILOT_REGISTRY_URL"],
)
"""


def peft_by_folder(m: Manifest, commit: str) -> str:
    """What was downloaded, on the base."""
    return f"{download(m, commit)}\n{PREAMBLE}model = PeftModel.from_pretrained(base, folder)\n"


def peft_by_name(m: Manifest, commit: str) -> str:
    """By the repository's name, with HF_ENDPOINT."""
    return f"import os\n\n{PREAMBLE}model = PeftModel.from_pretrained(base, {_name(m, commit)})\n"


def hf(m: Manifest, commit: str) -> str:
    """The Hub's own command, into a folder."""
    what = f"hf download {shlex.quote(m.repo)} \\\n  --revision {commit} --local-dir {_folder(m)}\n"
    return f'HF_ENDPOINT="$PILOT_REGISTRY_URL" {what}'


def pull(m: Manifest, commit: str) -> str:
    """Our own command, into a folder."""
    what = f"pilot pull \\\n  {shlex.quote(f'{m.repo}@{commit}')} --out {_folder(m)}\n"
    return f'PILOT_URL="$PILOT_REGISTRY_URL" {what}'


def curl(m: Manifest, commit: str) -> str:
    """File by file, here."""
    start = "curl --fail --silent --show-error --create-dirs \\\n"
    key = '  --header "Authorization: Bearer $(cat "$PILOT_TOKEN_FILE")" \\\n'
    files = [
        f"  --output {shlex.quote(path)} \\\n"
        f'  "$PILOT_REGISTRY_URL"/{shlex.quote(f"{m.repo}/resolve/{commit}/{path}")}\n'
        for path in sorted(m.files)
    ]
    return "".join(f"{start}{key}{file}" for file in files)


def vllm(m: Manifest) -> str:
    """With the folder that another snippet has made."""
    modules = shlex.quote(f"{m.client or m.task or 'adapter'}={_path(m)}")
    return f'vllm serve "$BASE_MODEL" --enable-lora --lora-modules {modules}\n'


def export(m: Manifest) -> str:
    """The personal model of somebody whose update is in the version."""
    client = _client(m)
    out = shlex.quote(f"{client}-model")
    return f"pilot export {shlex.quote(m.run)} --client {shlex.quote(client)} --round {m.round} --out {out}\n"


def answer(m: Manifest) -> str:
    """What was exported, asked something."""
    return f"""\
import pilot_model

model, processor = pilot_model.load({json.dumps(f"{_client(m)}-model")})
print(pilot_model.answer(model, processor, "what is in this picture ?", "picture.png"))
"""


def _personal(m: Manifest) -> Iterator[Snippet]:
    if not m.contributors or m.program == "prepare":
        return
    whose = f"The personal model of {_client(m)}"
    yield Snippet("export", f"{whose}, as a folder", "sh", export(m), WHERE_STATE_IS, TRAINING)
    yield Snippet("answer", f"{whose}, asked", "python", answer(m), "", TRAINING)


def _client(m: Manifest) -> str:
    """For whom it was merged, else the first whose update is in it."""
    return m.client or m.contributors[0]


def _name(m: Manifest, commit: str) -> str:
    return f"{json.dumps(m.repo)}, revision={json.dumps(commit)}"


def _path(m: Manifest) -> str:
    return m.repo.partition("/")[2] or m.repo


def _folder(m: Manifest) -> str:
    return shlex.quote(_path(m))
