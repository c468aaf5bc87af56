"""Train models, look at them, compare, put one in use with a second person, go back."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from prebill.cli.acting import As, acting_user, opened_installation

if TYPE_CHECKING:
    from prebill.bootstrap import Installation
    from prebill.store.model_changes import Change
    from prebill.workflows.promotion import Office, Outcome

models_app = typer.Typer(help="Registered models and which are in use.", no_args_is_help=True)
dataset_app = typer.Typer(help="What models learn from.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="forest, payment_risk or error_risk")]
Data = Annotated[
    Path | None, typer.Option(help="A folder of canonical files instead of what was imported.")
]
_UI_PORT: Final = 5000


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command("train")(train)
    app.add_typer(models_app, name="models")
    app.add_typer(dataset_app, name="dataset")


def train(
    models: Annotated[
        list[str] | None, typer.Argument(help="forest, payment_risk, error_risk; default: all.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every model, as without a name.")] = False,
    data: Data = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Search the grid of model.toml on earlier months first.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of model.toml, repeatable.")
    ] = None,
) -> None:
    """Train on everything known and evaluate on the latest period.

    The first model that beats the simple rule becomes champion. A later one that passes becomes
    challenger: it scores in shadow until two people put it in use with `prebill models promote`.
    """
    from prebill.bundles import NAMES, known
    from prebill.settings import Settings
    from prebill.workflows import train as workflow

    wanted = [known(name) for name in models or []]
    chosen = list(NAMES) if all_ else wanted
    arguments = [f"--set={override}" for override in set_ or []] + ["--tune"] * tune
    _exit(workflow.run(Settings.load(), ["fit", *chosen, *arguments], data=data))


@models_app.command("list")
def list_models() -> None:
    """List the registered versions and open proposals; works without MLflow for what is in use."""
    from prebill import registry
    from prebill.bundles import NAMES, Role, in_use
    from prebill.core.errors import ModelError, TransientError

    with opened_installation() as opened:
        for name in NAMES:
            for role in Role:
                try:
                    found = in_use(opened.settings, name, role)
                    absent = "none, a rule" if role is Role.CHAMPION else "none"
                    shown = found.digest[:12] if found else absent
                    typer.echo(f"{name:<13} {role:<11} {shown}")
                except ModelError as error:
                    typer.secho(f"{name:<13} {role:<11} {error}", fg=typer.colors.RED)
            _print_proposal(opened, name)
            try:
                for one in registry.versions(opened.settings, name):
                    verdict = one.tags.get(registry.VERDICT, "")
                    typer.echo(f"  {one.number:>4}  {one.digest[:12]}  {one.stage:<20}  {verdict}")
            except TransientError as error:
                typer.secho(f"  {error}", fg=typer.colors.YELLOW)


def _print_proposal(opened: "Installation", name: str) -> None:
    from prebill.store.model_changes import name_of, open_change

    with opened.store.read() as tx:
        change = open_change(tx, name)
        author = name_of(tx, change.proposed_by) if change else ""
    if change:
        typer.secho(
            f"  {author} proposes to {change.kind} to version {change.version}: a second person "
            f"approves with `{_command(change)}`",
            fg=typer.colors.YELLOW,
        )


@models_app.command("show")
def show_model(name: Name) -> None:
    """Show the model in use: what it learnt from, how it measured, its files, who put it there."""
    from prebill.bundles import in_use, known
    from prebill.core.errors import NotFoundError
    from prebill.store.model_changes import history, name_of

    with opened_installation() as opened:
        bundle = in_use(opened.settings, known(name))
        with opened.store.read() as tx:
            changes = [(one, name_of(tx, one.decided_by or "")) for one in history(tx, name)]
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
    for change, decider in changes:
        when = (change.live_at or change.proposed_at)[:16]
        typer.echo(
            f"{'change':<14} {when} {change.kind} to version {change.version}, {change.status}, "
            f"{change.basis}, {decider or change.proposed_by}"
        )


@models_app.command("features")
def list_features(name: Name) -> None:
    """List what a model reads: meaning, sources, as-of rule, null rule, allowed use, owner."""
    from prebill.bundles import known
    from prebill.core.scoring.declared import READ_BY

    for one in READ_BY[known(name)].values():
        typer.secho(f"{one.name}: {one.meaning}", bold=True)
        typer.echo(f"  reads {', '.join(one.sources)}")
        typer.echo(f"  as of: {one.as_of}. Null: {one.null}. Use: {one.use}. Owner: {one.owner}")


@models_app.command("compare")
def compare(
    name: Name,
    with_: Annotated[
        int | None, typer.Option("--with", help="Version; default: the challenger.")
    ] = None,
    data: Data = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="On what both said of live drafts, by mature outcome.")
    ] = False,
) -> None:
    """Compare a version with the champion on rows that neither has learnt, by customer and slice.

    The verdict is kept with the version: it decides whether the version may be promoted.
    """
    from prebill.bundles import known
    from prebill.settings import Settings
    from prebill.workflows import train as workflow

    if shadow:
        _compare_shadow(known(name))
        return
    chosen = [f"--with={with_}"] if with_ is not None else []
    _exit(workflow.run(Settings.load(), ["compare", known(name), *chosen], data=data))


def _compare_shadow(name: str) -> None:
    from prebill.workflows.shadow import compare_shadow

    with opened_installation() as opened:
        report = compare_shadow(opened, name, datetime.now(UTC).date())
    for line in report.lines():
        typer.echo(line)


@models_app.command("promote")
def promote(
    name: Name,
    version: Annotated[int, typer.Argument(help="Its number.")],
    despite: Annotated[
        str, typer.Option(help="Why, though the evaluation does not allow it.")
    ] = "",
    user: As = None,
) -> None:
    """Put a version in use: you propose it, another person gives the same command to approve."""
    from prebill.workflows import promotion

    with opened_installation() as opened:
        office = _office(opened, user)
        _tell(promotion.promote(office, name, version, despite=despite))


@models_app.command("rollback")
def rollback(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; the second person sees it.")] = "",
    user: As = None,
) -> None:
    """Put the champion before the present one in use again; a second person approves."""
    from prebill.workflows import promotion

    with opened_installation() as opened:
        _tell(promotion.rollback(_office(opened, user), name, reason=reason))


@models_app.command("withdraw")
def withdraw(name: Name, user: As = None) -> None:
    """Take back an open proposal; without one, end the challenger."""
    from prebill.workflows import promotion

    with opened_installation() as opened:
        change = promotion.withdraw(_office(opened, user), name)
    typer.echo(f"{name} version {change.version}: {change.kind} is withdrawn")


@models_app.command("fetch")
def fetch() -> None:
    """Bring this machine's verified copies to what the database says is in use."""
    from prebill.workflows import promotion

    with opened_installation() as opened:
        notes = promotion.follow(promotion.Office(opened.settings, opened.store, "system"))
    for note in notes:
        typer.secho(note, fg=typer.colors.RED)
    typer.echo("some copies could not be fetched" if notes else "all copies are as recorded")
    _exit(1 if notes else 0)


@models_app.command("ui")
def ui(port: Annotated[int, typer.Option(help="Port on loopback.")] = _UI_PORT) -> None:
    """Serve MLflow's own pages on this installation's runs, on loopback, until it is stopped."""
    from prebill import registry
    from prebill.settings import Settings

    command = registry.ui_command(Settings.load(), port)
    typer.echo(f"MLflow: http://127.0.0.1:{port}/  (starts in some seconds; Ctrl-C ends it)")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.execv(command[0], command)


@dataset_app.command("export")
def export(
    model: Annotated[str, typer.Argument(help="forest, payment_risk or error_risk")],
    as_of: Annotated[str, typer.Option(help="Cut-off, YYYY-MM-DD: nothing of that day or later.")],
    out: Annotated[Path, typer.Option(help="Parquet file; its manifest is written beside it.")],
    data: Data = None,
) -> None:
    """Write the exact rows that a model trained as of a day learns from, with a manifest."""
    from prebill.bundles import known
    from prebill.settings import Settings
    from prebill.workflows import train as workflow

    arguments = ["export", known(model), f"--as-of={as_of}", f"--out={out}"]
    _exit(workflow.run(Settings.load(), arguments, data=data))


# ── Helpers ──────────────────────────────────────────────────────────────────────────────────


def _office(opened: "Installation", user: str | None) -> "Office":
    """Who acts: at least a controller, by token."""
    from prebill.api.auth import require
    from prebill.store.users import Role
    from prebill.workflows import promotion

    actor = require(acting_user(opened, user), Role.CONTROLLER)
    return promotion.Office(opened.settings, opened.store, actor.user_id)


def _tell(outcome: "Outcome") -> None:
    change = outcome.change
    named = f"{change.model} version {change.version} ({change.digest[:12]})"
    if outcome.is_live:
        typer.echo(f"{named} is in use")
    else:
        typer.echo(f"{named} is proposed: a second person approves with `{_command(change)}`")
    for note in outcome.notes:
        typer.secho(note, fg=typer.colors.YELLOW, err=True)


def _command(change: "Change") -> str:
    if change.kind == "rollback":
        return f"prebill models rollback {change.model}"
    return f"prebill models promote {change.model} {change.version}"


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)
