"""Commands about what comes in: import, quarantine, template."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prebill.core.errors import InputError

if TYPE_CHECKING:
    from prebill.workflows.ingest import ImportReport
    from prebill.workflows.ingest_checks import World

quarantine = typer.Typer(no_args_is_help=True, help="Bad rows and their way back.")

#: Done, but rows or files were left aside.
EXIT_FINDINGS = 1


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command(name="import")(import_)
    app.command()(template)
    app.add_typer(quarantine, name="quarantine")


def import_(
    folder: Annotated[Path, typer.Argument(help="Canonical files, named after the contracts.")],
    as_of: Annotated[
        str | None, typer.Option(help="The clock: events after it are from the future. ISO 8601.")
    ] = None,
) -> None:
    """Import canonical files (CSV, Parquet, NDJSON); bad rows go to the quarantine."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from prebill.workflows.ingest import import_folder

    world = _world(as_of)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("reading …")

        def progress(file: str, rows: int, rejected: int) -> None:
            shown.update(task, description=f"{file}: {rows:,} rows, {rejected:,} rejected")

        report = import_folder(world, folder, actor=_actor(), progress=progress)
    _print_report(report)
    if not report.is_clean:
        raise typer.Exit(EXIT_FINDINGS)


def _print_report(report: "ImportReport") -> None:
    typer.echo(f"{'file':<28}{'rows':>12}{'new':>12}{'known':>12}{'rejected':>12}")
    for one in report.files:
        figures = (one.rows, one.good, one.known, one.rejected)
        typer.echo(f"{one.file:<28}" + "".join(f"{figure:>12,}" for figure in figures))
    if resolved := sum(one.resolved for one in report.files):
        typer.echo(f"{resolved:,} rows of the quarantine are mended by this import.")
    if completed := sum(one.completed for one in report.files):
        typer.echo(f"{completed:,} rows complete what was known (columns that were empty).")
    if report.rejected:
        typer.echo(f"{report.rejected:,} rows are in quarantine: prebill quarantine list")
    for one in report.errors:
        typer.secho(f"not imported as a whole: {one.error}", err=True, fg=typer.colors.RED)


@quarantine.command("list")
def list_(
    contract: Annotated[str | None, typer.Option(help="Only rows of this contract.")] = None,
    status: Annotated[str, typer.Option(help="open, resolved, dismissed or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows shown.")] = 50,
) -> None:
    """List bad rows: how many by rule, then one line a row."""
    from prebill.store import ingest as sql

    if status not in {"open", "resolved", "dismissed", "all"}:
        message = f"unknown status {status!r}: use open, resolved, dismissed or all"
        raise InputError(message, status=status)
    world = _world()
    with world.store.read() as tx:
        counts = sql.quarantine_counts(tx)
        chosen = None if status == "all" else status
        rows = sql.quarantine_page(tx, status=chosen, contract=contract, limit=limit)
    total = sum(count["rows"] for count in counts)
    typer.echo(f"{total:,} open rows")
    for count in counts:
        typer.echo(f"  {count['rows']:>9,}  {count['file']}: {count['rule']}")
    for row in rows:
        value = "" if row["value"] is None else f" = {row['value'][:60]!r}"
        place = f"{row['file']} line {row['line']}"
        named = f"{row['rule']} {row['column_name'] or ''}".rstrip()
        typer.echo(f"{row['quarantine_id']}  {row['status']:<9} {place}: {named}{value}")


@quarantine.command()
def show(
    quarantine_id: Annotated[str, typer.Argument(help="Id from `prebill quarantine list`.")],
) -> None:
    """Show one bad row: the whole row, what is wrong with it, and what to do."""
    from prebill.workflows import quarantine as way_back

    world = _world()
    shown = way_back.show(world.store, world.catalog, quarantine_id)
    row = shown.row
    typer.echo(f"{row['file']} line {row['line']}, contract {row['contract']}, {row['status']}")
    typer.echo(f"imported with {row['import_id']}, entered {row['entered_at']}")
    for one in shown.findings:
        value = "" if one.value is None else f" = {one.value!r}"
        typer.echo(f"- {one.rule} ({one.column or 'row'}{value}): {one.text}")
    typer.echo(row["row_json"])


@quarantine.command()
def retry(
    quarantine_ids: Annotated[list[str] | None, typer.Argument(help="Ids; none: --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open row.")] = False,
    as_of: Annotated[str | None, typer.Option(help="The clock, ISO 8601.")] = None,
) -> None:
    """Check bad rows again, after the reference data was mended; good ones go in."""
    from prebill.workflows import quarantine as way_back

    if bool(quarantine_ids) == every:
        message = "name the rows to retry, or give --all"
        raise InputError(message)
    retried = way_back.retry(_world(as_of), actor=_actor(), ids=quarantine_ids or None)
    typer.echo(f"{retried.resolved:,} rows are in, {retried.still_open:,} are still bad")
    if retried.still_open:
        raise typer.Exit(EXIT_FINDINGS)


@quarantine.command()
def dismiss(
    quarantine_id: Annotated[str, typer.Argument(help="Id from `prebill quarantine list`.")],
    reason: Annotated[str, typer.Option(help="Why the row must not go in; kept in the audit.")],
) -> None:
    """Set a bad row aside for good."""
    from prebill.workflows import quarantine as way_back

    world = _world()
    way_back.dismiss(world.store, quarantine_id, reason=reason, actor=_actor())
    typer.echo(f"{quarantine_id} is dismissed")


def template(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; made where absent.")],
) -> None:
    """Write empty canonical files, with the meaning of every column beside them."""
    from prebill.contracts import load_catalog
    from prebill.settings import Settings
    from prebill.workflows.template import write_templates

    written = write_templates(load_catalog(Settings.load().contracts_dir), folder)
    typer.echo(f"{len(written)} empty files in {folder}; read its README.txt")


def _world(as_of: str | None = None) -> "World":
    from prebill.bootstrap import Installation
    from prebill.contracts import load_catalog
    from prebill.core.calendar import instant_of
    from prebill.settings import Settings
    from prebill.workflows.ingest import open_world

    settings = Settings.load()
    clock = instant_of(as_of) if as_of else datetime.now(UTC)
    installation = Installation.open(settings)
    catalog = load_catalog(settings.contracts_dir)
    return open_world(catalog, installation.store, installation.lake, clock)


def _actor() -> str:
    """Who acts: a person with access to the machine; never taken from an argument."""
    return f"shell:{getpass.getuser()}"
