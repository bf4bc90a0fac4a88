"""The model card of an adapter, `README.md`. Facts in, Markdown out.

Whatever was written by somebody else stands in a code span, in a YAML scalar or in a JSON string, so that it is read
as text by whoever shows the card.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pilot_proto.manifest import Manifest
from pilot_proto.plan import TaskMean
from pilot_proto.run import Rule

from pilot_registry.hub import snippets

CARD_FILE = "README.md"
LICENSE_PATTERN = re.compile(r"^[a-z0-9][a-z0-9.-]{0,39}$")
NOT_STATED = "not stated"
POINTS = {
    "merged": "what the round published, with each client's private parts",
    "local": "the clients' own models, before the round's merge",
}
WHOLE = {
    "text": "**This text adapter alone is not the personal model**: it was trained together with its connector.",
    "connector": "**This connector alone is not a model**: it stands between a vision tower and a language model.",
    "vision": "**This vision adapter alone is not a model**: it was trained together with its connector.",
}


@dataclass(frozen=True)
class CardFacts:
    """What a card says of a version."""

    commit: str
    manifest: Manifest
    rule: Rule | None = None
    """How it was merged; none where the plan does not say."""
    task_means: tuple[TaskMean, ...] = ()


def card(facts: CardFacts) -> bytes:
    """The card, UTF-8."""
    m = facts.manifest
    parts = [
        f"---\n{yaml.safe_dump(metadata(m), sort_keys=False, allow_unicode=False)}---",
        f"{WHOLE[m.kind]} {_export(m)}",
        f"# {code(m.repo)}",
        _table(("", ""), _rows(facts)),
        "## What it was made of",
        _parents(m),
        "## Metrics",
        _metrics(facts),
        "## How to load it",
        _use(m, facts.commit),
    ]
    return ("\n\n".join(parts) + "\n").encode()


def metadata(m: Manifest) -> dict[str, Any]:
    """What the Hub reads from a card's head."""
    found: dict[str, Any] = {"base_model": m.model, "base_model_relation": "adapter"}
    if m.kind == "text":
        found["library_name"] = "peft"
    if m.model_license is not None:
        known = LICENSE_PATTERN.match(m.model_license)
        found |= {"license": m.model_license} if known else {"license": "other", "license_name": m.model_license}
    return found | {"pipeline_tag": "image-text-to-text", "tags": tags(m)}


def tags(m: Manifest) -> list[str]:
    """Words to find it by."""
    names = [f"{word}:{name}" for word, name in (("run", m.run), ("task", m.task), ("client", m.client)) if name]
    return ["pilot", "federated-learning", m.kind, *(["lora"] if m.kind == "text" else []), *names]


def code(text: str) -> str:
    """Foreign text as a code span that also fits in a cell of a table: one line, nothing in it means anything."""
    line = re.sub(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+", " ", text).strip() or " "
    ticks = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    padded = f" {line} " if line.startswith("`") or line.endswith("`") else line
    return f"{ticks}{padded}{ticks}".replace("|", "\\|")


def _export(m: Manifest) -> str:
    who = f" --client {m.client}" if m.client else " --client CLIENT"
    command = f"pilot export {m.run}{who} --round {m.round} --out DIR"
    return f"{code(command)} makes the whole."


def _rows(facts: CardFacts) -> list[tuple[str, ...]]:
    m = facts.manifest
    stated = NOT_STATED if m.model_license is None else code(m.model_license)
    return [
        ("Base model", f"{code(m.model)}, files {code(m.model_digest)}"),
        ("Licence of the base", stated),
        ("Commit", code(facts.commit)),
        ("Run", code(m.run)),
        ("Round", f"{m.round}, {code(m.program)}"),
        ("Kind", code(m.kind)),
        ("Task", code(m.task) if m.task else "all"),
        ("For", code(m.client) if m.client else "all of them"),
        ("Contributors", ", ".join(code(name) for name in m.contributors) or "none: it is where all begin"),
        ("Training samples", "none" if m.num_examples is None else str(m.num_examples)),
        ("Merge rule", _rule(facts.rule)),
        ("Merge plan", code(m.plan) if m.plan else "none"),
    ]


def _rule(rule: Rule | None) -> str:
    if rule is None:
        return NOT_STATED
    options = rule.model_dump(exclude_none=True, exclude={"rule"})
    return ", ".join([code(rule.rule), *(f"{name} {code(str(value))}" for name, value in options.items())])


def _parents(m: Manifest) -> str:
    if not m.parents:
        return "Nothing: no version went into it."
    rows = [
        (code(parent.repo), code(parent.commit), "-" if parent.coefficient is None else f"{parent.coefficient:.6g}")
        for parent in m.parents
    ]
    return _table(("Version of", "Commit", "Weight"), rows)


def _metrics(facts: CardFacts) -> str:
    note = (
        "Means over the clients of a task; what a single client measured is not told to everybody. The merged adapters "
        "are measured in the round after, so this card is longer then."
    )
    if not facts.task_means:
        return f"None yet, or no task that two clients measured.\n\n{note}"
    rows = [
        (
            code(mean.task),
            code(mean.metric),
            mean.split,
            f"{mean.point}({mean.round})",
            f"{mean.value:.4g}",
            str(mean.clients),
            str(mean.samples),
        )
        for mean in facts.task_means
    ]
    points = "\n".join(f"- `{point}`: {meaning}." for point, meaning in POINTS.items())
    return f"{_table(('Task', 'Metric', 'Split', 'Point', 'Mean', 'Clients', 'Samples'), rows)}\n\n{points}\n\n{note}"


def _use(m: Manifest, commit: str) -> str:
    key = "`PILOT_REGISTRY_URL` is the registry's address, and `HF_TOKEN_PATH` names a file that holds your key."
    if m.kind != "text":
        whole = "The model that it belongs in is `pilot_model`'s, not a stock class."
        return f"{key}\n\n{_python(snippets.download(m, commit))}\n\n{whole}"
    by_folder, by_name = snippets.peft_by_folder(m, commit), snippets.peft_by_name(m, commit)
    base = "`BASE_MODEL` is the folder of the base."
    return f"{key} {base}\n\n{_python(by_folder)}\n\n{snippets.BY_NAME}\n\n{_python(by_name)}"


def _python(source: str) -> str:
    return f"```python\n{source}```"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
