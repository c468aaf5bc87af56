"""The command line. One file per area; each adds its commands with ``register(app)``.

Heavy libraries load inside the commands, so that ``prebill --help`` answers at once.
"""

import importlib
import os
import sys
from io import TextIOWrapper
from typing import Final

import typer

from prebill.core.errors import InputError, PrebillError

#: Areas in the order in which ``--help`` lists their commands.
AREAS: Final = (
    *("demo", "setup", "ingest", "gate", "run", "deliveries"),
    *("cases", "case_handling", "groups", "authority", "alerts"),
    *("policy", "policy_simulation", "replay", "models", "forecast", "serve"),
)

#: Exit codes: 0 done, 1 done with findings, 2 wrong usage (typer), 3 could not go on.
EXIT_CANNOT_GO_ON: Final = 3

app = typer.Typer(
    name="prebill",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Subscription billing in which every invoice is judged before it is released.",
)


@app.callback()
def root() -> None:
    """Subscription billing in which every invoice is judged before it is released."""


for area in AREAS:
    importlib.import_module(f"prebill.cli.{area}").register(app)


def main() -> None:
    """Run the command line; an expected error becomes one sentence and exit code 3."""
    for stream in (sys.stdout, sys.stderr):
        # A path or a value of a file may hold what the terminal can't show.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except PrebillError as error:
        _end(str(error), error.code)
    except OSError as error:
        # A path that somebody gave: absent, too long, a file where a folder should be, read-only.
        place = f"{error.filename}: " if error.filename else ""
        _end(f"{place}{error.strerror or error}: check path, permissions and room", InputError.code)


def _end(message: str, code: str) -> None:
    typer.secho(f"prebill: {message}", err=True, fg=typer.colors.RED)
    typer.echo(f"code: {code}", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: on a full disk threads of the workflow engine wait for ever.
    os._exit(EXIT_CANNOT_GO_ON)
