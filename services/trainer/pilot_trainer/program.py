"""The batch program: environment in, exit code out.

Everything heavy is imported with this module, so that a process forked from one that has imported it starts at once.
"""

import logging
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pilot_client.errors import Unreachable
from pilot_data.errors import DataError
from pilot_model.errors import DoesNotFit, ImageError, ModelError

from pilot_trainer.attempt import Attempt
from pilot_trainer.environment import Environment, termination_message
from pilot_trainer.errors import BadAssignment, BadConfiguration, BadData, Exit, Temporary, TrainerError
from pilot_trainer.exchange import Exchange
from pilot_trainer.logs import log_to_stdout
from pilot_trainer.progress import Reporter
from pilot_trainer.stages import Stages

log = logging.getLogger(__name__)

MEANING: Mapping[type[Exception], type[TrainerError]] = {
    DataError: BadData,
    ImageError: BadData,
    ModelError: BadConfiguration,
    DoesNotFit: BadAssignment,
}
"""What the faults of the client's data and model mean for the attempt."""


def run(environ: Mapping[str, str]) -> int:
    """One attempt. Returns the exit code; never raises."""
    log_to_stdout()
    try:
        environment = Environment.read(environ)
    except TrainerError as error:
        return _failed(error, termination_message(environ))
    torch.set_num_threads(environment.num_threads)
    exchange = Exchange(environment)
    reporter = Reporter(exchange.progress)
    try:
        with _stop_request() as stopping:
            Attempt(environment, exchange, Stages(reporter.report), stopping.is_set).run()
    except Exception as problem:
        reason = as_trainer_error(problem)
        reporter.close()
        exchange.failure(reason)
        return _failed(reason, environment.termination_message)
    finally:
        reporter.close()
        exchange.close()
    return Exit.DONE


def as_trainer_error(problem: Exception) -> TrainerError:
    """What an exception means for the orchestrator."""
    if isinstance(problem, TrainerError):
        return problem
    for kind, meaning in MEANING.items():
        if isinstance(problem, kind):
            return meaning(str(problem))
    if isinstance(problem, Unreachable | OSError | torch.OutOfMemoryError):
        return Temporary(str(problem))
    log.error("unexpected", exc_info=problem)
    return TrainerError("".join(traceback.format_exception_only(problem)).strip())


def _failed(error: TrainerError, message: Path | None) -> int:
    log.error("failed", extra={"code": error.code, "reason": str(error), "exit_code": int(error.exit_code)})
    if message is not None:
        message.write_text(f"{error.code}: {error}")
    return error.exit_code


@contextmanager
def _stop_request() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, so that work can stop at a place from which it can go on."""
    asked = threading.Event()

    def ask(_signal: int, _frame: Any) -> None:
        asked.set()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
