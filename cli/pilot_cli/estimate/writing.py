"""An estimate as tables for people, as a document for scripts, and in short for a dry run."""

from dataclasses import asdict
from typing import Any

from pilot_reports.numbers import size

from pilot_cli.estimate.assembly import ClientCost, Estimate, Question, Stage
from pilot_cli.estimate.memory import RUNTIME_BYTES
from pilot_cli.output import console, print_table


def print_tables(question: Question, found: Estimate) -> None:
    """What every client needs by stage, then each client, then the services' disks."""
    for line in headline(question):
        _say(line)
    _say("")
    _stages(question, found)
    _say("")
    _clients(question, found)
    _say("")
    for line in services(found):
        _say(line)
    for line in assumptions(question):
        _say(line)


def headline(question: Question) -> list[str]:
    """Who and what."""
    training, llava = question.spec.training, question.llava
    return [
        f"{len(question.clients)} clients, {question.tasks} tasks, rounds {', '.join(question.spec.rounds)}",
        f"base model {question.spec.model}: N = {llava.num_image_tokens} image tokens, V = {llava.visual_width}, "
        f"C = {llava.width}; {training.precision}, base_quantization {training.base_quantization}, "
        f"gradient_checkpointing {str(training.gradient_checkpointing).lower()}",
    ]


def _stages(question: Question, found: Estimate) -> None:
    batch = question.spec.training.effective_batch_size
    columns = ["PROGRAM", "TRAINED", "SENT", "UP/ROUND", "DOWN/ROUND", "MEMORY, 1 SAMPLE", f"MEMORY, {batch}"]
    columns += ["MICRO-BATCH"] if question.gpu_bytes is not None else []
    print_table(columns, [_stage_row(stage, batch) for stage in found.stages], right=columns[1:])


def _stage_row(stage: Stage, batch: int) -> list[str]:
    row = [stage.program, f"{stage.numbers.trained:,}", f"{stage.sent:,}", size(stage.up_bytes), size(stage.down_bytes)]
    row += [size(stage.memory.total(1)), size(stage.memory.total(batch))]
    if stage.micro_batch is not None:
        row.append(str(stage.micro_batch) if stage.micro_batch else "does not fit")
    return row


def _clients(question: Question, found: Estimate) -> None:
    programs = [stage.program for stage in found.stages]
    columns = ["CLIENT", "TASK", "SAMPLES", "STEPS/ROUND", "FEATURE CACHE", "STATE VOLUME"]
    timed = question.step_seconds is not None
    columns += [f"TIME {program}" for program in programs] if timed else []
    rows = []
    for client in found.clients:
        row = [client.data.name, client.data.task, _or_dash(client.data.samples), _or_dash(client.steps)]
        row += [_cache(client), size(client.state_bytes)]
        rows.append(row + ([_time(client.seconds[program]) for program in programs] if timed else []))
    print_table(columns, rows, right=columns[2:])


def services(found: Estimate) -> list[str]:
    """The disks that clients share."""
    return [
        f"bucket: at most {size(found.bucket.peak)}, {size(found.bucket.end)} when the run has ended",
        f"aggregator's disk during a merge: {size(found.spool_bytes)}",
        f"feature cache: {size(found.feature_bytes_per_image)} per image",
    ]


def assumptions(question: Question) -> list[str]:
    """What the figures stand on."""
    sample, training = question.sample, question.spec.training
    tokens = sample.tokens(question.llava, training.max_length)
    return [
        "",
        "Exact: TRAINED, SENT, and the bytes of adapter files. update.json and manifests add a few kB.",
        f"Estimated: memory, of one GPU, for samples of {tokens} positions ({sample.text_tokens} of text, "
        f"{sample.answer_tokens} of them answers); activations within 3 % of what autograd keeps, and "
        f"{size(RUNTIME_BYTES)} assumed for the driver, workspaces and fragments.",
    ]


def brief(question: Question, found: Estimate) -> list[str]:
    """A few lines for a dry run."""
    lines = [
        f"{stage.program}: each client trains {stage.numbers.trained:,} numbers, sends {size(stage.up_bytes)}, "
        f"fetches {size(stage.down_bytes)}, and needs about {size(stage.memory.total(1))} of GPU memory for one sample"
        for stage in found.stages
    ]
    return [*lines, *services(found)[:1]]


def as_document(question: Question, found: Estimate) -> dict[str, Any]:
    """Plain values, every client with every stage."""
    batch = question.spec.training.effective_batch_size
    stages = [_stage_document(stage, batch) for stage in found.stages]
    return {
        "model": question.spec.model,
        "tasks": question.tasks,
        "rounds": list(question.spec.rounds),
        "image_tokens": question.llava.num_image_tokens,
        "sample": asdict(question.sample),
        "clients": [_client_document(client, stages) for client in found.clients],
        "evaluation_down_bytes": found.evaluation_down_bytes,
        "feature_bytes_per_image": found.feature_bytes_per_image,
        "bucket_bytes": asdict(found.bucket),
        "spool_bytes": found.spool_bytes,
    }


def _stage_document(stage: Stage, batch: int) -> dict[str, Any]:
    parts = {name: count for name, count in asdict(stage.memory).items() if name != "per_sample"}
    return {
        "program": stage.program,
        "trained": stage.numbers.trained,
        "trained_text": stage.numbers.text,
        "trained_connector": stage.numbers.connector_trained,
        "frozen_connector": stage.numbers.connector_frozen,
        "sent": stage.sent,
        "up_bytes": stage.up_bytes,
        "down_bytes": stage.down_bytes,
        "memory": {
            **parts,
            "runtime": RUNTIME_BYTES,
            "per_sample": stage.memory.per_sample,
            "one_sample": stage.memory.total(1),
            "whole_batch": stage.memory.total(batch),
        },
        "micro_batch_size": stage.micro_batch,
    }


def _client_document(client: ClientCost, stages: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **asdict(client.data),
        "steps_per_round": client.steps,
        "feature_cache_bytes": client.feature_bytes,
        "state_volume_bytes": client.state_bytes,
        "stages": [{**stage, "seconds": client.seconds[stage["program"]]} for stage in stages],
    }


def _cache(client: ClientCost) -> str:
    if client.feature_bytes is None:
        return "-"
    return size(client.feature_bytes) if client.feature_bytes else "off: too large"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _or_dash(count: int | None) -> str:
    return "-" if count is None else str(count)


def _say(line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)
