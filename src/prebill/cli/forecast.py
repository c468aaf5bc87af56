"""`prebill forecast usage|cash|workload`: what to expect, with intervals and what they rest on."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import polars as pl

forecast_app = typer.Typer(
    help="Expected usage, cash and reviewers' work, with 80 % intervals.", no_args_is_help=True
)

AsOf = Annotated[
    str | None, typer.Option("--as-of", help="As known on that morning, for example 2026-11-05.")
]
Out = Annotated[Path | None, typer.Option(help="Write every row to this CSV file.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.add_typer(forecast_app, name="forecast")


@forecast_app.command("usage")
def usage(
    period: Annotated[str | None, typer.Option(help="Month; default: the next one.")] = None,
    customer: Annotated[str | None, typer.Option(help="Show the meters of this customer.")] = None,
    as_of: AsOf = None,
    out: Out = None,
) -> None:
    """Forecast the quantity of each customer and meter in a month."""
    import polars as pl

    from prebill.bootstrap import Installation
    from prebill.core.calendar import add_months, month_period
    from prebill.settings import Settings
    from prebill.workflows.forecast import usage_of

    as_of_on = _day(as_of)
    following = add_months(as_of_on.replace(day=1), 1)
    months = month_period(period or f"{following:%Y-%m}")
    found = usage_of(Installation.open(Settings.load()), months, as_of_on=as_of_on)
    typer.echo(f"usage in {months.name}, as known on the morning of {as_of_on}")
    if customer is not None:
        for row in found.filter(pl.col("customer_id") == customer).iter_rows(named=True):
            typer.echo(f"{row['meter']:<20}{_figure(row['expected'])}{_interval(row)}{_why(row)}")
    typer.echo(f"{'meter':<20}{'customers':>10}{'expected':>18}{'by a model':>12}{'season':>8}")
    for row in _by_meter(found).iter_rows(named=True):
        typer.echo(
            f"{row['meter']:<20}{row['customers']:>10,}{_figure(row['expected'])}"
            f"{row['modelled']:>12.0%}{row['season']:>8.2f}"
        )
    _write(found, out)


def _by_meter(found: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    return (
        found.group_by("meter")
        .agg(
            pl.len().alias("customers"),
            pl.col("expected").sum(),
            (pl.col("basis") == "model").mean().alias("modelled"),
            pl.col("season").first(),
        )
        .sort("meter")
    )


def _figure(value: float) -> str:
    return f"{value:>18,.0f}" if abs(value) >= 100 else f"{value:>18,.2f}"


def _interval(row: dict[str, object]) -> str:
    if row["low"] is None:
        return "   no interval yet"
    return f"   {row['low']:,.2f} to {row['high']:,.2f}"


def _why(row: dict[str, object]) -> str:
    told = {
        "model": "model",
        "median": "median of its weeks: too few for a model",
        "last": "its last week: too few for a model",
    }
    return f"   {told[str(row['basis'])]} ({row['weeks']} weeks)"


@forecast_app.command("cash")
def cash(
    weeks: Annotated[int, typer.Option(min=1, max=26, help="How many weeks.")] = 8,
    as_of: AsOf = None,
    out: Out = None,
) -> None:
    """Forecast the cash of the next weeks, from open invoices and from those to come."""
    from prebill.bootstrap import Installation
    from prebill.settings import Settings
    from prebill.workflows.forecast import cash_of

    as_of_on = _day(as_of)
    found = cash_of(Installation.open(Settings.load()), as_of_on=as_of_on, weeks=weeks)
    typer.echo(f"cash by week, as known on the morning of {as_of_on}; nothing of it is posted")
    names = ("expected", "low", "high", "from_open", "from_new")
    titles = ("expected", "10 %", "90 %", "open", "to come")
    typer.echo(f"{'week from':<12}{'':<5}" + "".join(f"{title:>18}" for title in titles))
    for row in found.iter_rows(named=True):
        cells = "".join(f"{_money(row[name], row['currency']):>18}" for name in names)
        typer.echo(f"{row['start_on']!s:<12}{row['currency']:<5}{cells}")
    if found.is_empty():
        typer.echo("there is no invoice to be paid: import invoices, or bill a month")
    _write(found, out)


def _money(value: float, currency: str) -> str:
    from prebill.core.money import format_minor

    return format_minor(int(value), currency).removesuffix(f" {currency}")


@forecast_app.command("workload")
def workload(as_of: AsOf = None) -> None:
    """Forecast the cases and the reviewer hours of the next cycle."""
    from prebill.bootstrap import Installation
    from prebill.settings import Settings
    from prebill.workflows.forecast import morning_of, workload_of

    before_at = morning_of(_day(as_of)) if as_of else datetime.now(UTC)
    found = workload_of(Installation.open(Settings.load()), before_at=before_at)
    if found is None:
        typer.echo("no month was billed yet: there is nothing to forecast from")
        return
    hours, low, high = found.hours
    basis = "model" if found.basis == "model" else "median: too few cycles for a model"
    minutes = "measured between verdicts" if found.is_measured else "as the policy states"
    typer.echo(f"next cycle, from {found.cycles} before; {basis}")
    typer.echo(f"drafts          {found.drafts:,} as in the last one")
    typer.echo(
        f"cases           {found.cases:,.0f} ({found.cases_low:,.0f} to {found.cases_high:,.0f})"
    )
    typer.echo(f"minutes a case  {found.minutes:.1f}, {minutes}")
    typer.echo(f"reviewer hours  {hours:.1f} ({low:.1f} to {high:.1f})")


def _day(text: str | None) -> date:
    """Read a date; none is today."""
    from prebill.core.errors import InputError

    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not a day: write it as 2026-11-05"
        raise InputError(message, as_of=text) from None


def _write(found: "pl.DataFrame", out: Path | None) -> None:
    if out is not None:
        found.write_csv(out)
        typer.echo(f"{found.height:,} rows in {out}")
