"""Deliveries that failed for good, and the way back after their cause was mended."""

import getpass
from datetime import UTC, datetime
from typing import Annotated

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
def retry(
    delivery_id: Annotated[
        str | None, typer.Argument(help="Id from `prebill delivery list`; none: --all.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every failed delivery.")] = False,
) -> None:
    """Let a worker try a failed delivery again, or all of them."""
    from prebill import audit
    from prebill.core.errors import InputError
    from prebill.settings import Settings
    from prebill.store.engine import Store
    from prebill.store.outbox import retry_every_failed, retry_failed
    from prebill.workflows.ingest_entry import shown_ids

    if (delivery_id is None) is not every:
        message = "name the delivery to retry, or give --all"
        raise InputError(message)
    actor, now_at = f"shell:{getpass.getuser()}", datetime.now(UTC)
    with Store.open(Settings.load().database_url) as store, store.transaction() as tx:
        if delivery_id is not None:
            retry_failed(tx, delivery_id, now_at)
            audit.record(tx, actor, "delivery.retried", delivery_id)
            typer.echo(f"{delivery_id} is tried again by the worker")
            return
        ids = retry_every_failed(tx, now_at)
        audit.record(tx, actor, "delivery.retried", "outbox", shown_ids(ids))
    typer.echo(f"{len(ids):,} deliveries are tried again by the worker")
