"""`pilot predict`: one answer of a personal model, exported or where its client keeps it."""

from pathlib import Path
from typing import Annotated

import typer
from pilot_proto.update import UPDATE_FILE, Update

from pilot_cli.errors import FAILED, MISSING, USAGE, CommandError
from pilot_cli.local.place import Place, place_of
from pilot_cli.output import console


def predict(
    image: Annotated[Path, typer.Option(help="A picture.", exists=True, dir_okay=False)],
    prompt: Annotated[str, typer.Option(help="The question or instruction.")],
    run: Annotated[str | None, typer.Argument(help="The run's name.")] = None,
    client: Annotated[str | None, typer.Option(help="Whose own model, as its last update left it.")] = None,
    model: Annotated[Path | None, typer.Option(help="A folder that 'pilot export' wrote; needs no run.")] = None,
    base: Annotated[Path | None, typer.Option(help="With --model: the base model's folder, if it moved.")] = None,
) -> None:
    """Ask a personal model: an exported folder, or a client's private state on the machine that holds it."""
    if (model is None) == (run is None) or (run is None) != (client is None) or (base and model is None):
        raise CommandError("say whose model", hint="either RUN --client NAME, or --model FOLDER", exit_code=USAGE)
    if model is not None:
        said = ask_folder(model, base, image, prompt)
    else:
        said = ask_state(place_of(str(run), str(client)), image, prompt)
    console.print(said, markup=False)


def ask_folder(folder: Path, base: Path | None, image: Path, prompt: str) -> str:
    """The answer of an exported model.

    Raises:
        CommandError: the folder, its base or the image cannot be used.
    """
    # Imported here, because torch takes seconds and every other command does without it.
    import pilot_model
    from pilot_model.errors import DoesNotFit, FolderError, ImageError, ModelError

    try:
        model, processor = pilot_model.load(folder, base)
        return pilot_model.answer(model, processor, prompt, image)
    except (FolderError, ModelError, ImageError, DoesNotFit) as error:
        raise CommandError(str(error), exit_code=FAILED) from error


def ask_state(place: Place, image: Path, prompt: str) -> str:
    """The answer of a client's model as its last local update left it.

    Raises:
        CommandError: there is no such update on this machine, or it or the image cannot be used.
    """
    result = newest(place.results)
    if result is None:
        raise CommandError(
            f"{place.client!r} has no result of run {place.run.metadata['name']!r} on this machine",
            hint=f"looked in {place.results}; private state stays where a client trains",
            exit_code=MISSING,
        )
    from pilot_model.errors import DoesNotFit, ImageError, ModelError
    from pilot_trainer.errors import TrainerError
    from pilot_trainer.predict import predict

    try:
        return predict(place.model_dir, result, image, prompt)
    except (TrainerError, ModelError, ImageError, DoesNotFit) as error:
        raise CommandError(str(error), exit_code=FAILED) from error


def newest(results: Path) -> Path | None:
    """The result of the last training round among a client's results of a run."""
    found = [
        (update.round, file.parent)
        for file in sorted(results.glob(f"*/{UPDATE_FILE}"))
        if (update := Update.model_validate_json(file.read_bytes())).program in ("plain", "stage-1", "stage-2")
    ]
    return max(found)[1] if found else None
