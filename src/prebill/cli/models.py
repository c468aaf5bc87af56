"""Train models, look at them, promote one and go back."""

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prebill.registry import Version
    from prebill.settings import Settings

models_app = typer.Typer(help="Registered models and which are in use.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="forest or payment_risk")]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command("train")(train)
    app.add_typer(models_app, name="models")


def train(
    models: Annotated[
        list[str] | None, typer.Argument(help="forest, payment_risk; default: all.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder of canonical files instead of what was imported.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of model.toml, repeatable.")
    ] = None,
) -> None:
    """Train on everything known, evaluate on the latest period, promote what is better."""
    from prebill.core.errors import NotFoundError
    from prebill.registry import NAMES
    from prebill.settings import Settings
    from prebill.workflows import train as workflow

    unknown = [name for name in models or [] if name not in NAMES]
    if unknown:
        message = f"there is no model {', '.join(unknown)}: known are {', '.join(NAMES)}"
        raise NotFoundError(message, names=unknown)
    code = workflow.train(Settings.load(), models or [], data=data, overrides=set_ or [])
    if code:
        raise typer.Exit(code)


@models_app.command("list")
def list_models() -> None:
    """List the registered versions; works without MLflow for those in use here."""
    from prebill import registry
    from prebill.core.errors import ModelError, TransientError
    from prebill.settings import Settings

    settings = Settings.load()
    for name in registry.NAMES:
        try:
            live = registry.champion(settings, name)
            typer.echo(f"{name:<13} in use: {live.digest[:12] if live else 'none, a rule'}")
        except ModelError as error:
            typer.secho(f"{name:<13} {error}", fg=typer.colors.RED)
        try:
            for version in registry.versions(settings, name):
                aliases = ", ".join(version.aliases)
                typer.echo(f"  {version.number:>4}  {version.digest[:12]}  {aliases}")
        except TransientError as error:
            typer.secho(f"  {error}", fg=typer.colors.YELLOW)


@models_app.command("show")
def show_model(name: Name) -> None:
    """Show the model in use: what it learnt from, how it measured, its files."""
    from prebill import registry
    from prebill.core.errors import NotFoundError
    from prebill.settings import Settings

    bundle = registry.champion(Settings.load(), name)
    if bundle is None:
        message = f"no {name} was promoted yet: `prebill train {name}`"
        raise NotFoundError(message, name=name)
    typer.echo(f"{'digest':<14} {bundle.digest}")
    for fact, value in bundle.facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {one}" for key, one in value.items())  # noqa: PLW2901
        typer.echo(f"{fact:<14} {value}")
    for file, content in bundle.files.items():
        typer.echo(f"{'file':<14} {file} ({len(content):,} bytes)")


@models_app.command("promote")
def promote(name: Name, version: Annotated[int, typer.Argument(help="Its number.")]) -> None:
    """Put a registered version in use."""
    from prebill import registry
    from prebill.settings import Settings

    settings = Settings.load()
    _audited(settings, "model.promoted", name, lambda: registry.promote(settings, name, version))


@models_app.command("rollback")
def rollback(name: Name) -> None:
    """Put the champion before the present one in use again."""
    from prebill import registry
    from prebill.settings import Settings

    settings = Settings.load()
    _audited(settings, "model.rolled_back", name, lambda: registry.rollback(settings, name))


def _audited(settings: "Settings", action: str, name: str, change: "Callable[[], Version]") -> None:
    """Do it and record who did; without a database nothing is done."""
    from prebill import audit
    from prebill.store.engine import Store

    with Store.open(settings.database_url) as store, store.transaction() as tx:
        version = change()
        detail: dict[str, object] = {"version": version.number, "digest": version.digest}
        audit.record(tx, f"shell:{getpass.getuser()}", action, name, detail)
    typer.echo(f"{name} version {version.number} ({version.digest[:12]}) is in use")
