"""Deliveries that failed for good, and the way back after their cause was mended."""

import getpass
from datetime import UTC, datetime

import typer

delivery_app = typer.Typer(no_args_is_help=True, help="Deliveries that need a person.")


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.add_typer(delivery_app, name="delivery")


@delivery_app.command("list")
def list_failed() -> None:
    """List the deliveries that failed, each with its error."""
    from prebill.settings import Settings
    from prebill.store.engine import Store
    from prebill.store.outbox import failed_deliveries

    with Store.open(Settings.load().database_url) as store, store.read() as tx:
        rows = failed_deliveries(tx)
    for row in rows:
        typer.secho(row["delivery_id"], bold=True)
        typer.echo(f"  {row['last_error']}")
    if not rows:
        typer.echo("no delivery has failed")


@delivery_app.command("retry")
def retry(delivery_id: str) -> None:
    """Let a worker try a failed delivery again."""
    from prebill import audit
    from prebill.settings import Settings
    from prebill.store.engine import Store
    from prebill.store.outbox import retry_failed

    with Store.open(Settings.load().database_url) as store, store.transaction() as tx:
        retry_failed(tx, delivery_id, datetime.now(UTC))
        audit.record(tx, f"shell:{getpass.getuser()}", "delivery.retried", delivery_id)
    typer.echo(f"{delivery_id} is tried again by the worker")
