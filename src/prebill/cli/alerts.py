"""Alerts from the terminal: list, acknowledge, resolve, try the channels, send again."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prebill.cli.acting import As, acting_user, opened_installation

if TYPE_CHECKING:
    from prebill.bootstrap import Installation
    from prebill.store.users import Actor, Role

alerts_app = typer.Typer(no_args_is_help=True, help="What is beyond its limit, and who was told.")

Id = Annotated[int, typer.Argument(help="Number from `prebill alerts list`.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.add_typer(alerts_app, name="alerts")


@alerts_app.command("list")
def list_alerts(
    past: Annotated[int, typer.Option(min=0, max=200, help="So many that are over too.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the open alerts, the worst first."""
    from prebill.store import alerts

    with opened_installation() as opened:
        acting_user(opened, None)
        with opened.store.read() as tx:
            rows = alerts.open_alerts(tx) + alerts.past_alerts(tx, past)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        _print(row)
    if not rows:
        typer.echo("no alert is open")


def _print(row: dict[str, Any]) -> None:
    from prebill.console.pages.alerts import state_of

    typer.secho(f"{row['alert_id']:>5}  {row['severity']:<8}  {row['title']}", bold=True)
    typer.echo(f"       {row['text']}")
    owner = f"owner {row['owner']}; " if row["owner"] else ""
    typer.echo(f"       {owner}{state_of(row, {})}")


@alerts_app.command("acknowledge")
def acknowledge(alert_id: Id, user: As = None) -> None:
    """Say that you look after an alert, so that it is not escalated."""
    from prebill.store.users import Role
    from prebill.workflows import alert_life

    with opened_installation() as opened:
        actor = _acting(opened, user, Role.REVIEWER)
        row = alert_life.acknowledge(opened, alert_id, actor.user_id, datetime.now(UTC))
    typer.echo(f"you look after it: {row['title']}")


@alerts_app.command("resolve")
def resolve(
    alert_id: Id,
    reason: Annotated[str, typer.Option(help="What was done; kept in the audit log.")],
    user: As = None,
) -> None:
    """Say that an alert was dealt with; it stays silent unless it gets worse or comes back."""
    from prebill.store.users import Role
    from prebill.workflows import alert_life

    with opened_installation() as opened:
        actor = _acting(opened, user, Role.CONTROLLER)
        at = datetime.now(UTC)
        row = alert_life.resolve(opened, alert_id, actor.user_id, at, reason=reason)
    typer.echo(f"resolved: {row['title']}")


@alerts_app.command("test")
def try_channels(user: As = None) -> None:
    """Send a test message over each channel, and say what came of it; 1 where one failed."""
    from prebill.store.users import Role
    from prebill.workflows.alerting import try_channels as send_tests

    with opened_installation() as opened:
        _acting(opened, user, Role.CONTROLLER)
        results = send_tests(opened.settings, datetime.now(UTC))
    for name, error in results:
        typer.secho(f"{name}: {error or 'taken'}", fg=typer.colors.RED if error else None)
    if not results:
        typer.echo("no channel is set up: see `prebill doctor`")
    if not results or any(error for _, error in results):
        raise typer.Exit(1)


@alerts_app.command("retry")
def retry(user: As = None) -> None:
    """Send the messages again that failed for good, after their channel was mended."""
    from prebill.store.users import Role
    from prebill.workflows import alert_life

    with opened_installation() as opened:
        actor = _acting(opened, user, Role.CONTROLLER)
        number = alert_life.retry(opened, actor.user_id, datetime.now(UTC))
    typer.echo(f"{number:,} messages are sent again by the worker")


def _acting(opened: "Installation", user: str | None, role: "Role") -> "Actor":
    from prebill.api.auth import require

    return require(acting_user(opened, user), role)
