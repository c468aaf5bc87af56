"""Figures of the process: how fast, how often untouched, how long people take."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from prebill.core.money import CURRENCY_EXPONENTS, format_minor
from prebill.store.drafts import ALIVE
from prebill.store.engine import Store, Tx

_HOURS = 3600.0


@dataclass(frozen=True, slots=True)
class Metrics:
    """Durations in hours; shares from 0 to 1; None: nothing to measure yet."""

    drafts: int
    issued: int
    cycle_time_p50_hours: float | None
    cycle_time_p90_hours: float | None
    exception_rate: float | None
    touchless_share: float | None
    approval_turnaround_p50_hours: float | None
    #: Currency → minor units times days that drafts waited or wait for a person.
    money_held_days_minor: dict[str, int]
    open_cases: int
    failed_deliveries: int

    def lines(self) -> list[str]:
        """The figures for people."""
        held = ", ".join(
            f"{format_minor(amount, currency)} x days"
            for currency, amount in sorted(self.money_held_days_minor.items())
        )
        return [
            f"drafts                  {self.drafts:,}",
            f"issued                  {self.issued:,}",
            f"cycle time p50          {_hours(self.cycle_time_p50_hours)}",
            f"cycle time p90          {_hours(self.cycle_time_p90_hours)}",
            f"exception rate          {_share(self.exception_rate)}",
            f"touchless share         {_share(self.touchless_share)}",
            f"approval turnaround p50 {_hours(self.approval_turnaround_p50_hours)}",
            f"money held              {held or 'none'}",
            f"open cases              {self.open_cases:,}",
            f"failed deliveries       {self.failed_deliveries:,}",
        ]


def metrics_of(store: Store, period: str | None, *, now_at: datetime) -> Metrics:
    """Measure a period, or everything."""
    with store.read() as tx:
        drafts = _drafts(tx, period)
        cases = _cases(tx, period)
        failed = tx.scalar("SELECT count(*) FROM outbox WHERE status = 'failed'")
    issued = drafts.filter(pl.col("issued_at").is_not_null())
    waited = (pl.col("issued_at") - pl.col("drafted_at")).dt.total_seconds() / _HOURS
    cycle = issued.select(waited.alias("hours"))["hours"]
    touched = cases.select("draft_id").unique()
    decided = drafts.filter(pl.col("state") != "draft")
    exceptions = decided.join(touched, on="draft_id", how="semi").height
    untouched = issued.join(touched, on="draft_id", how="anti").height
    answered = cases.filter(pl.col("status").is_in(["released", "corrected", "rejected"]))
    turnaround = answered.select(
        ((pl.col("resolved_at") - pl.col("opened_at")).dt.total_seconds() / _HOURS).alias("h")
    )["h"]
    return Metrics(
        drafts=drafts.height,
        issued=issued.height,
        cycle_time_p50_hours=_quantile(cycle, 0.5),
        cycle_time_p90_hours=_quantile(cycle, 0.9),
        exception_rate=exceptions / decided.height if decided.height else None,
        touchless_share=untouched / issued.height if issued.height else None,
        approval_turnaround_p50_hours=_quantile(turnaround, 0.5),
        money_held_days_minor=_held(cases, now_at),
        open_cases=cases.filter(pl.col("status") == "open").height,
        failed_deliveries=int(failed),
    )


def _drafts(tx: Tx, period: str | None) -> pl.DataFrame:
    """Live drafts: when their first version was stored and when they were issued."""
    where, parameters = _of(period, "d.period")
    return _timed(
        tx,
        "SELECT d.draft_id, d.state, (SELECT min(f.entered_at) FROM drafts f "
        "WHERE f.draft_id = d.draft_id) AS drafted_at, o.entered_at AS issued_at "
        f"FROM drafts d LEFT JOIN documents o ON o.draft_id = d.draft_id WHERE d.{ALIVE}{where}",
        parameters,
        ["draft_id", "state"],
        ["drafted_at", "issued_at"],
    )


def _cases(tx: Tx, period: str | None) -> pl.DataFrame:
    where, parameters = _of(period, "d.period")
    of_engines, _ = _of(period, "substr(coalesce(g.period_start_on, g.issued_on), 1, 7)")
    return _timed(
        tx,
        "SELECT c.draft_id, c.status, d.currency, d.total_minor, c.opened_at, c.resolved_at "
        "FROM cases c JOIN drafts d ON d.draft_id = c.draft_id AND d.version = c.draft_version "
        f"WHERE c.kind = 'draft'{where} "
        "UNION ALL "  # held drafts of other engines are money that waits, too
        "SELECT c.draft_id, c.status, g.currency, g.total_minor, c.opened_at, c.resolved_at "
        "FROM cases c JOIN engine_drafts g ON g.draft_id = c.draft_id "
        f"AND g.version = c.draft_version WHERE c.kind = 'gate'{of_engines}",
        parameters,
        ["draft_id", "status", "currency"],
        ["opened_at", "resolved_at"],
        integers=["total_minor"],
    )


def _of(period: str | None, column: str) -> tuple[str, dict[str, Any]]:
    return (f" AND {column} = :period", {"period": period}) if period else ("", {})


def _timed(
    tx: Tx,
    statement: str,
    parameters: dict[str, Any],
    texts: list[str],
    instants: list[str],
    *,
    integers: list[str] | None = None,
) -> pl.DataFrame:
    schema: dict[str, pl.DataType] = {name: pl.String() for name in texts}
    schema |= {name: pl.Int64() for name in integers or []}
    schema |= {name: pl.Datetime("us", "UTC") for name in instants}
    return tx.frame(statement, schema, parameters)


def _held(cases: pl.DataFrame, now_at: datetime) -> dict[str, int]:
    """Total times whole and started days from opening to answer, or until now."""
    end = pl.col("resolved_at").fill_null(now_at)
    days = ((end - pl.col("opened_at")).dt.total_seconds() / 86_400).ceil().cast(pl.Int64)
    summed = (
        cases.filter(pl.col("currency").is_in(list(CURRENCY_EXPONENTS)))
        .group_by("currency")
        .agg(held=(pl.col("total_minor").abs() * days).sum())
        .sort("currency")
    )
    return {str(currency): int(held) for currency, held in summed.iter_rows()}


def _quantile(values: pl.Series, share: float) -> float | None:
    found = values.quantile(share, interpolation="linear")
    return None if found is None else float(found)


def _hours(value: float | None) -> str:
    if value is None:
        return "nothing to measure yet"
    return f"{value * 60:.1f} minutes" if value < 1 else f"{value:.1f} hours"


def _share(value: float | None) -> str:
    return "nothing to measure yet" if value is None else f"{value:.1%}"
