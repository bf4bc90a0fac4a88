"""The JSON Schema of every document: `python -m pilot_proto.export [FOLDER]`, by default `proto/schema`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from pilot_proto import (
    assignment,
    dataset,
    federation,
    grant,
    local_update,
    manifest,
    personal_model,
    plan,
    problem,
    registry,
    report,
    run,
    tensors,
    timeline,
    update,
    webhook,
)

DOCUMENTS: tuple[type[BaseModel], ...] = (
    run.Run,
    run.RunStatus,
    run.RunView,
    run.RunPage,
    run.DryRun,
    run.Trigger,
    run.Verdict,
    run.Progress,
    run.CommitReport,
    run.FailureReport,
    personal_model.ExportOrder,
    personal_model.ExportView,
    federation.Federation,
    federation.FederationView,
    dataset.Dataset,
    assignment.Assignment,
    assignment.AssignmentView,
    grant.Grant,
    grant.RoundGrants,
    grant.Handed,
    grant.SealedRound,
    grant.RoundView,
    grant.Publication,
    grant.PublishRequest,
    update.Update,
    manifest.Manifest,
    manifest.Committed,
    plan.MergePlan,
    plan.Ledger,
    plan.RoundDocument,
    plan.RoundOutlinePage,
    plan.RoundPage,
    plan.VerifyReport,
    timeline.RoundTimeline,
    report.RunReport,
    local_update.LocalUpdatePage,
    webhook.RunEnded,
    registry.FileReceipt,
    registry.VersionView,
    registry.VersionPage,
    registry.AliasView,
    registry.AliasPage,
    registry.AliasMove,
    registry.Release,
    registry.CompareReport,
    registry.Dependants,
    registry.TensorPage,
    registry.LineageView,
    registry.AuditPage,
    registry.RejectionPage,
    registry.RetireReport,
    registry.GcReport,
    registry.ReindexReport,
    registry.CheckReport,
    registry.UploadView,
    problem.Problem,
    tensors.TensorSpec,
    tensors.Header,
)
"""Every document that stands alone: a body, a file or a record. What only occurs inside one is in its `$defs`."""

SUFFIX = ".schema.json"


def schema(document: type[BaseModel]) -> dict[str, object]:
    """The JSON Schema (2020-12) of one document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document.model_json_schema()}


def schemas() -> dict[str, str]:
    """File name to text: sorted keys, two spaces, a newline at the end, so that a diff shows what changed."""
    return {f"{d.__name__}{SUFFIX}": json.dumps(schema(d), indent=2, sort_keys=True) + "\n" for d in DOCUMENTS}


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder hold these schemas and no other."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    for left in {file.name for file in folder.glob(f"*{SUFFIX}")} - set(files):
        (folder / left).unlink()


def main(arguments: Sequence[str]) -> None:
    """Write all schemas."""
    write(Path(arguments[0] if arguments else "proto/schema"), schemas())


if __name__ == "__main__":
    main(sys.argv[1:])
