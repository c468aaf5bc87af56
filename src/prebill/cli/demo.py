"""``prebill demo``: a made-up company from contract to issued invoice, and what was held."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the demo."""
    app.command("demo")(demo)


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Folder of the demo; made, or emptied if a demo's own.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another company.")] = 1,
    customers: Annotated[int, typer.Option(help="Customers over the 18 months.")] = 3_000,
    serve: Annotated[
        bool, typer.Option(help="Leave the console running in the background at the end.")
    ] = True,
    unseen: Annotated[
        bool, typer.Option(help="Plant kinds of fault that no detector was written for, too.")
    ] = False,
) -> None:
    """Make a company with known faults, bill it, and show what was held, missed and why."""
    from prebill.demo.runner import run_demo

    lines = run_demo(
        directory,
        seed=seed,
        customers=customers,
        is_serving=serve,
        with_unseen=unseen,
        say=lambda text: typer.secho(text, err=True, dim=True),
    )
    for line in lines:
        typer.echo(line)
    sys.stdout.flush()
