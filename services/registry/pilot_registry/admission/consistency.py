"""Whether a commit says the same as its grant and as its own update.json. Values in, `Refused` or nothing out."""

from pilot_proto.grant import Grant
from pilot_proto.manifest import Manifest
from pilot_proto.names import ADAPTER_FILE, CONFIG_FILE, update_path
from pilot_proto.update import UPDATE_FILE, Update

from pilot_registry.errors import Refused


def check_manifest(manifest: Manifest, grant: Grant) -> None:
    """The manifest is what the grant asked for.

    Raises:
        Refused: `stale_round`, `wrong_base` or `schema_mismatch`.
    """
    _same("stale_round", "run", manifest.run, grant.run)
    _same("stale_round", "round", manifest.round, grant.round)
    _same("stale_round", "program", manifest.program, grant.program)
    _same("schema_mismatch", "task", manifest.task or "", grant.task)
    _same("schema_mismatch", "kind", manifest.kind, "update")
    if grant.model_digest is not None:
        _same("wrong_base", "model_digest", manifest.model_digest, grant.model_digest)
    strangers = [parent for parent in manifest.parents if parent.commit not in grant.readable]
    if strangers:
        raise Refused("wrong_base", f"parent {strangers[0].repo} {strangers[0].commit} was not handed to this client")
    _check_files(manifest, grant)


def check_update(update: Update, manifest: Manifest, grant: Grant) -> None:
    """update.json agrees with the manifest and the grant.

    Raises:
        Refused: `stale_round`, `wrong_base` or `schema_mismatch`.
    """
    _same("stale_round", "update.json: run", update.run, grant.run)
    _same("stale_round", "update.json: round", update.round, grant.round)
    _same("stale_round", "update.json: program", update.program, grant.program)
    _same("stale_round", "update.json: assignment", update.assignment, grant.assignment)
    _same("schema_mismatch", "update.json: client", update.client, grant.client)
    _same("schema_mismatch", "update.json: task", update.task, grant.task)
    _same("schema_mismatch", "update.json: num_examples", update.num_examples, manifest.num_examples)
    _same("wrong_base", "update.json: model.digest", update.model.digest, manifest.model_digest)
    _same("schema_mismatch", "update.json: adapters", sorted(update.adapters), sorted(grant.kinds))
    if update.program not in ("prepare", "evaluate") and update.num_examples < 1:
        # n_k is a weight: a client of weight zero would make the merge impossible for everybody.
        raise Refused("schema_mismatch", "update.json: num_examples is 0; a training program uses at least 1 sample")
    for kind, adapter in update.adapters.items():
        digest = manifest.files[update_path(kind, ADAPTER_FILE[kind])].digest
        _same("schema_mismatch", f"update.json: digest of {kind}", adapter.digest, digest)


def _check_files(manifest: Manifest, grant: Grant) -> None:
    required = {UPDATE_FILE} | {update_path(kind, ADAPTER_FILE[kind]) for kind in grant.kinds}
    # Only round 0 finds out how the adapters are configured.
    allowed = {update_path(kind, CONFIG_FILE[kind]) for kind in grant.kinds if grant.program == "prepare"}
    missing, extra = required - manifest.files.keys(), manifest.files.keys() - required - allowed
    if missing:
        raise Refused("schema_mismatch", f"the update lacks {', '.join(sorted(missing))}")
    if extra:
        raise Refused("schema_mismatch", f"the update holds files nobody asked for: {', '.join(sorted(extra))[:200]}")


def _same(code: str, what: str, found: object, granted: object) -> None:
    if found != granted:
        raise Refused(code, f"{what} is {found!r}; the grant says {granted!r}")
