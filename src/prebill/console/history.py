"""A customer's past invoices: those of an earlier engine from the lake, our own from the store."""

from dataclasses import dataclass
from datetime import date
from statistics import median_low
from typing import Any, Final

import polars as pl

from prebill.console import words
from prebill.console.charts import Bar, HistoryChart, history_chart
from prebill.console.links import invoice_href
from prebill.console.views import PastInvoice
from prebill.core.money import format_minor
from prebill.lake import Lake
from prebill.store.console import past_drafts
from prebill.store.engine import Tx
from prebill.store.lake_index import named_batches

SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Past:
    """One past invoice or the present draft."""

    starts_on: date
    name: str
    total_minor: int
    href: str = ""
    is_present: bool = False


def past_invoices(tx: Tx, lake: Lake, case: dict[str, Any]) -> list[Past]:
    """Return up to twelve invoices of the customer before the draft's period, oldest first."""
    if not case["customer_id"] or not case["period_start_on"]:
        return []
    before_on = date.fromisoformat(case["period_start_on"])
    own = [
        Past(
            date.fromisoformat(row["period_start_on"]),
            row["draft_id"],
            row["total_minor"],
            invoice_href(row["draft_id"]),
        )
        for row in past_drafts(
            tx, case["customer_id"], before_on=before_on.isoformat(), limit=SHOWN
        )
        if row["currency"] == case["currency"]
    ]
    found = own + _imported(tx, lake, case, before_on)
    return sorted(found, key=lambda one: (one.starts_on, one.name))[-SHOWN:]


def _imported(tx: Tx, lake: Lake, case: dict[str, Any], before_on: date) -> list[Past]:
    starts_on = pl.coalesce("period_start_on", "issued_on")
    rows = (
        lake.scan("invoices", named_batches(tx, "invoices"))
        .filter(
            pl.col("customer_id") == case["customer_id"],
            pl.col("currency") == case["currency"],
            starts_on < before_on,
        )
        .select(starts_on.alias("starts_on"), "invoice_id", "total_minor")
        .unique("invoice_id", keep="last")
        .sort("starts_on", "invoice_id")
        .tail(SHOWN)
    )
    with lake.reading():
        found = rows.collect()
    return [Past(starts_on, name, total) for starts_on, name, total in found.iter_rows()]


def chart_of(past: list[Past], case: dict[str, Any]) -> HistoryChart | None:
    """Draw them with the draft as the last bar; None where there is nothing to compare with."""
    if not past:
        return None
    currency = case["currency"]
    usual = median_low([one.total_minor for one in past])
    present = Past(
        date.fromisoformat(case["period_start_on"]),
        case["draft_id"],
        case["total_minor"] or 0,
        is_present=True,
    )
    shown = [*past, present]
    top = max(one.total_minor for one in shown)
    return history_chart(
        [_bar(one, currency) for one in shown],
        median_minor=usual,
        top_label=words.money(top, currency),
        median_label=f"Median of the past: {words.money(usual, currency)}",
        summary=_summary(past, present, usual, currency),
    )


def _bar(one: Past, currency: str) -> Bar:
    amount = format_minor(one.total_minor, currency)
    return Bar(
        one.total_minor,
        f"{one.starts_on:%b %y}",
        f"{one.starts_on:%b}"[0],
        f"{one.starts_on:%b %Y}: {amount}" + (" (this draft)" if one.is_present else ""),
        one.is_present,
    )


def _summary(past: list[Past], present: Past, usual: int, currency: str) -> str:
    if present.total_minor == 0:
        return f"Nothing was drafted; the median of the past is {words.money(usual, currency)}."
    shown = words.money(present.total_minor, currency)
    if usual <= 0:
        return f"This draft totals {shown}."
    times = present.total_minor / usual
    return (
        f"This draft totals {shown}: {times:.2f} times the median of the last "
        f"{words.counted(len(past), 'invoice')}."
    )


def past_rows(past: list[Past], case: dict[str, Any]) -> tuple[PastInvoice, ...]:
    """The same as a table, the newest first."""
    return tuple(
        PastInvoice(
            f"{one.starts_on:%b %Y}",
            one.name,
            words.money(one.total_minor, case["currency"]),
            one.href,
        )
        for one in reversed(past)
    )
