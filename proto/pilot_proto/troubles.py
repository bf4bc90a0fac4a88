"""Every stable code that a program or a person may meet: what it means, and what to do next.

`pilot explain CODE` prints an entry; docs/troubleshooting.md is made from them. A test finds the codes in the sources
and fails when one is missing here, or is here and nowhere else.
"""

from typing import Literal, NamedTuple

Where = Literal["either service", "aggregator", "registry", "admission", "trainer"]
"""Who says it. `admission` is the registry's check of an upload: its code is also the reason of a rejection."""


class Trouble(NamedTuple):
    """One code."""

    code: str
    where: Where
    what: str
    next: str


class ExitCode(NamedTuple):
    """One exit code of a program."""

    number: int
    program: str
    what: str
    next: str


TROUBLES: tuple[Trouble, ...] = (
    Trouble(
        "unauthenticated",
        "either service",
        "the request carries no key, or one that this deployment does not know",
        "send 'Authorization: Bearer KEY'; on this machine the keys are in the state folder's keys/",
    ),
    Trouble(
        "forbidden",
        "either service",
        "the key is known, and its role may not do this",
        "use a key of a role that may: viewer, operator or admin; a client's key serves that client only",
    ),
    Trouble(
        "cross_site",
        "either service",
        "a browser sent a request that changes something, and not from a page of this service",
        "open the page of this service and do it there; programs send 'Authorization: Bearer KEY'",
    ),
    Trouble(
        "no_role",
        "either service",
        "the proxy that signed the person in names no group that has a role here",
        "let the proxy file (AUTH_PROXY) give one of the person's groups a role",
    ),
    Trouble(
        "not_found",
        "either service",
        "there is no such run, round, repository, revision or file, or none that this role may know of",
        "list what there is: 'pilot get runs', 'pilot get adapters RUN'",
    ),
    Trouble(
        "method_not_allowed",
        "either service",
        "the path exists, the method does not",
        "/api/v1alpha1/openapi.json lists both",
    ),
    Trouble("http_error", "either service", "a request that HTTP itself forbids", "read the detail"),
    Trouble(
        "invalid",
        "either service",
        "a document or a parameter breaks a rule; every faulty place is listed with its pointer",
        "correct the places named; 'pilot validate -f FILE' gives their lines without a server",
    ),
    Trouble("conflict", "either service", "the request does not fit the present state", "read the detail"),
    Trouble(
        "internal",
        "either service",
        "a fault of ours, or bytes that the store has lost",
        "the service's log has the details; 'pilot registry check' looks for lost bytes; report it with the log",
    ),
    Trouble(
        "unavailable",
        "either service",
        "a database, a store or the other service cannot be reached now",
        "it is retried by every client of ours; /readyz says what is missing",
    ),
    Trouble(
        "name_taken",
        "aggregator",
        "a run of that name exists; names are for ever, because adapters carry them",
        "choose another name: 'pilot run -f FILE --name OTHER'",
    ),
    Trouble(
        "idempotency_key_reused",
        "aggregator",
        "the Idempotency-Key was used for another request",
        "take a new key for a new request",
    ),
    Trouble(
        "not_published",
        "either service",
        "start_from, an export or a hand-out names a round that its run has not published",
        "name a published round: 'pilot get rounds RUN'",
    ),
    Trouble(
        "other_model",
        "aggregator",
        "start_from names a run on another base model; adapters fit one base only",
        "name the same model, or start anew",
    ),
    Trouble(
        "wrong_phase",
        "aggregator",
        "the verb is not possible in the run's phase",
        "docs/rounds.md has the table of phases and verbs",
    ),
    Trouble(
        "round_closed",
        "either service",
        "the round is sealed: it takes no more updates, retries or verdicts",
        "nothing; the client takes part again in the next round",
    ),
    Trouble(
        "already_answered",
        "either service",
        "the client has an admitted update in this round, and the first one counts",
        "nothing; the later result is dropped",
    ),
    Trouble(
        "still_running",
        "aggregator",
        "the client's attempt is still at work",
        "wait, or read 'pilot logs RUN --client CLIENT'",
    ),
    Trouble(
        "already_planned",
        "aggregator",
        "the round's plan is stored, so a verdict comes too late",
        "nothing; the ledger says what the plan decided",
    ),
    Trouble(
        "not_held",
        "aggregator",
        "the update is not held, so there is nothing to decide",
        "'pilot get clients RUN' shows what is held; 'admission: {on_flag: hold}' holds flagged updates",
    ),
    Trouble(
        "nothing_to_export",
        "aggregator",
        "the client has no model at this point of this round: it was not accepted, or the round trains nothing",
        "name another round, or --point merged; the detail says which there is",
    ),
    Trouble(
        "export_refused",
        "aggregator",
        "no Job can make this client's model here: the deployment runs no Jobs, or has none of this client",
        "without Jobs: 'pilot export --out DIR' on the aggregator's machine; else do what the detail says",
    ),
    Trouble("grant_differs", "registry", "the client has another grant in this round", "a fault of ours: report it"),
    Trouble("not_sealed", "registry", "a round is published only after its inputs are sealed", "seal it first"),
    Trouble("round_open", "registry", "raw updates of an open round are not deleted", "seal it or revoke its grants"),
    Trouble(
        "housekeeping_busy",
        "registry",
        "a collection, a check or a rebuilding of the index was begun on the page System, and is still at work",
        "wait until it has ended: System shows it, and what came of it",
    ),
    Trouble(
        "already_published",
        "registry",
        "the round is published with other bytes; the published ones stand",
        "the run stops: two merges of the same inputs differ, which 'pilot verify' examines",
    ),
    Trouble(
        "unknown_commit",
        "registry",
        "a publication names an input that the round did not seal",
        "a fault of ours: report it",
    ),
    Trouble("wrong_round", "registry", "a publication names another round than its path", "a fault of ours: report it"),
    Trouble(
        "outputs_differ",
        "registry",
        "an output's bytes are not what its manifest says",
        "a fault of ours: report it; nothing was published",
    ),
    Trouble(
        "not_uploaded",
        "registry",
        "a commit names bytes that this sender did not send in this round",
        "send every file first; the trainer does",
    ),
    Trouble(
        "deleted",
        "registry",
        "retention or an admin deleted these bytes; their digest, norm and distances are kept",
        "keep raw updates with 'retention: {raw_updates: forever}' in later runs; the audit says who deleted others",
    ),
    Trouble("range_not_satisfiable", "registry", "the range begins behind the file's end", "ask within its size"),
    Trouble(
        "precondition_required",
        "registry",
        "an alias moves only with If-Match, so that nobody's move is lost",
        "read the alias, then send If-Match with its ETag; 'pilot alias set' does",
    ),
    Trouble("precondition_failed", "registry", "the alias has moved since it was read", "read it again, then decide"),
    Trouble(
        "reserved_alias",
        "registry",
        "main and round-N move by publishing a round only",
        "choose another name: best, prod, ...",
    ),
    Trouble(
        "in_use",
        "registry",
        "something stands on the version that an admin wants to delete: an alias, a grant, a run, a released copy",
        "the detail names all of it; move, end or delete that first",
    ),
    Trouble(
        "not_releasable", "registry", "a raw update or a deleted version cannot be promoted", "promote a merged adapter"
    ),
    Trouble(
        "storage_full",
        "registry",
        "the disk or the bucket is full; nothing was half-written",
        "make room, or 'pilot registry gc'; senders try again by themselves",
    ),
    Trouble(
        "store_unavailable",
        "registry",
        "the bucket or the store's folder cannot be used now; the detail names bucket, endpoint and rule",
        "do what the hint says; senders try again by themselves",
    ),
    Trouble(
        "idle_body",
        "registry",
        "the sender of a file was silent for too long; a slow line is no trouble",
        "send it again, or go on with its next part; clients do so by themselves",
    ),
    Trouble(
        "wrong_offset",
        "registry",
        "a part of an upload does not begin where the last one ended",
        "go on from the offset in the answer; clients do so by themselves",
    ),
    Trouble(
        "taken_over",
        "registry",
        "another connection goes on with this upload",
        "ask for its offset again; clients do so by themselves",
    ),
    Trouble(
        "upload_unknown",
        "registry",
        "there is no such upload of this sender: it is complete, was collected, or gave way to newer ones",
        "begin it again; clients do so by themselves",
    ),
    Trouble(
        "incomplete",
        "registry",
        "an upload was completed before all of its bytes were here",
        "send the rest; clients do so by themselves",
    ),
    Trouble(
        "identity_mismatch",
        "admission",
        "a client sent something in another client's name",
        "each client uses its own key",
    ),
    Trouble(
        "stale_round",
        "admission",
        "there is no open grant for this client in this round",
        "nothing; the next round has its own grant",
    ),
    Trouble(
        "wrong_base",
        "admission",
        "the update was made on another base model than the run's",
        "give every client the same model folder; 'pilot doctor --model DIR' prints its digest",
    ),
    Trouble("too_large", "admission", "the file is larger than its grant allows", "train what the assignment says"),
    Trouble("digest_mismatch", "admission", "the bytes are not those of the declared digest", "send them again"),
    Trouble("header_too_large", "admission", "the safetensors header is over 1 MiB", "write only the run's tensors"),
    Trouble(
        "bad_header",
        "admission",
        "the safetensors header is not strict: duplicate names, deep nesting, oversized metadata, odd types",
        "write the file with the safetensors library",
    ),
    Trouble(
        "bad_document", "admission", "update.json or a configuration is not the JSON it should be", "use our trainer"
    ),
    Trouble(
        "schema_mismatch",
        "admission",
        "names, shapes, dtypes or counts are not those of the run's adapter schema",
        "LoRA and connector settings come from the assignment; do not change them at the client",
    ),
    Trouble(
        "corrupt", "admission", "the tensors overlap, leave holes, or end elsewhere than the file", "write it again"
    ),
    Trouble(
        "non_finite",
        "admission",
        "a tensor holds NaN or infinity",
        "lower the learning rate, or look at the client's data",
    ),
    Trouble(
        "bad_assignment",
        "trainer",
        "the assignment cannot be executed: inputs do not fit, or private state is gone or damaged",
        "the message names the part; restore the client's state volume, or start a new run with start_from",
    ),
    Trouble(
        "bad_data",
        "trainer",
        "the client's data cannot be trained on",
        "'pilot data validate DIR' lists every bad record with its reason",
    ),
    Trouble(
        "bad_configuration",
        "trainer",
        "the environment, the credential or the base model is not what a trainer needs",
        "'pilot doctor --model DIR' looks at the model; the message names the variable or file",
    ),
    Trouble(
        "temporary",
        "trainer",
        "another try may succeed: a service away, a disk full, memory gone, or a request to stop",
        "nothing; the next attempt goes on from the last checkpoint",
    ),
    Trouble(
        "adapter_did_not_move",
        "trainer",
        "an adapter that had to learn is bit for bit what it was",
        "check the learning rate, and that the client's images are not all missing",
    ),
    Trouble(
        "diverged",
        "trainer",
        "training ended in values that are not finite",
        "lower the learning rate, or set precision: fp32",
    ),
)

EXIT_CODES: tuple[ExitCode, ...] = (
    ExitCode(0, "pilot", "done", ""),
    ExitCode(1, "pilot", "it failed: the run ended otherwise, a check found something, a service is away", "read on"),
    ExitCode(2, "pilot", "the command or a file is wrong", "the message has line and column, and the nearest name"),
    ExitCode(3, "pilot", "there is no such thing", "'pilot get' lists what there is"),
    ExitCode(4, "pilot", "the key is missing, unknown or not allowed", "PILOT_TOKEN_FILE, or the state folder's keys/"),
    ExitCode(5, "pilot", "it conflicts with the present state", "look at the state, then decide"),
    ExitCode(6, "pilot", "it did not happen in time ('pilot wait')", "wait longer, or look why"),
    ExitCode(7, "pilot", "the inputs were deleted by retention ('pilot verify')", "nothing to recompute"),
    ExitCode(130, "pilot", "Ctrl-C", ""),
    ExitCode(0, "trainer", "done, or not needed any more", ""),
    ExitCode(64, "trainer", "bad assignment; not tried again", "see bad_assignment"),
    ExitCode(65, "trainer", "bad data, or an update that was refused; not tried again", "see bad_data, or the reason"),
    ExitCode(70, "trainer", "a fault of ours; tried again", "the job's log has it: 'pilot logs RUN --client CLIENT'"),
    ExitCode(71, "trainer", "no process could be made for the job (local backend); tried again", "free memory"),
    ExitCode(75, "trainer", "temporary; tried again", "see temporary"),
    ExitCode(78, "trainer", "bad configuration; not tried again", "see bad_configuration"),
    ExitCode(75, "service", "another process serves the same state folder", "stop it, or choose another folder"),
)
