"""The sub-commands of `pilot data`."""

import typer

from pilot_cli.data.imports import import_data
from pilot_cli.data.validation import validate_data

data = typer.Typer(help="Bring data in, and look at it.", no_args_is_help=True, rich_markup_mode=None)
data.command("import")(import_data)
data.command("validate")(validate_data)
