"""Compare sides that must agree. Each side comes from another source and other code than billing.

Nothing here calls billing: what was active, metered and posted is worked out again, plainly.
"""

from dataclasses import dataclass

import polars as pl

from prebill.core.calendar import Period
from prebill.core.money import DECIMAL

#: Charges that people add; no contract names them.
ADDED_CHARGES = ("one_off",)
_FIRST = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sides that should agree and don't, where, and what to do."""

    code: str
    object_id: str
    text: str
    advice: str


def differences(
    rows: pl.DataFrame, *, code: str, text: pl.Expr, advice: str, object_id: str
) -> list[Difference]:
    """One difference a row; ``text`` is an expression over it."""
    named = rows.select(object_id=pl.col(object_id).cast(pl.String), text=text)
    return [Difference(code, one, said, advice) for one, said in named.iter_rows()]


def latest(frame: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The version of each key that was recorded last."""
    return frame.sort("recorded_at").unique(key, keep="last", maintain_order=True)


def active_charges(
    *,
    contracts: pl.DataFrame,
    subscriptions: pl.DataFrame,
    phases: pl.DataFrame,
    charges: pl.DataFrame,
    period: Period,
) -> pl.DataFrame:
    """Charges that were active at some time of the period.

    Parameters
    ----------
    contracts, subscriptions, phases, charges : pl.DataFrame
        Inbound frames, already cut to what was known. ``phases`` may be a contract's terms, with
        ``subscription_id`` = ``contract_id``.
    period : Period
        Month.

    Returns
    -------
    pl.DataFrame
        Distinct ``contract_id, charge_id``.
    """
    signed = (
        latest(contracts, ["contract_id"])
        .filter(_overlaps("starts_on", "ends_on", period))
        .select("contract_id", "starts_on", "ends_on")
    )
    running = latest(subscriptions, ["subscription_id"]).filter(
        _overlaps("started_on", "ended_on", period)
    )
    current = latest(phases, ["subscription_id", "phase_id"])
    placed = (
        current.join(
            running.select("subscription_id", "contract_id", "started_on", "ended_on"),
            on="subscription_id",
        )
        .join(signed, on="contract_id")
        .with_columns(
            begin=pl.max_horizontal(
                "effective_from_on", "started_on", "starts_on", pl.lit(period.start_on)
            ),
            end=pl.min_horizontal("effective_to_on", "ended_on", "ends_on", pl.lit(period.end_on)),
        )
        .filter(pl.col("begin") < pl.col("end"))
    )
    sold = charges.select("price_book_id", "plan_id", "charge_id")
    found = placed.join(sold, on=["price_book_id", "plan_id"])
    return found.select("contract_id", "charge_id").unique().sort("contract_id", "charge_id")


def charge_differences(
    active: pl.DataFrame, drafted: pl.DataFrame, skipped: pl.DataFrame
) -> list[Difference]:
    """Active charges that are neither drafted nor skipped, and drafted ones that aren't active.

    All three have ``contract_id`` and ``charge_id``.
    """
    key = ["contract_id", "charge_id"]
    covered = pl.concat([drafted.select(key), skipped.select(key)])
    lost = active.join(covered, on=key, how="anti")
    extra = (
        drafted.filter(~pl.col("charge_id").is_in(ADDED_CHARGES))
        .select(key)
        .unique()
        .join(active, on=key, how="anti")
    )
    return differences(
        lost,
        code="charge_lost",
        text=pl.format("charge {} of contract {} is nowhere", "charge_id", "contract_id"),
        advice="run the period again; if it stays, the run has a fault: report it",
        object_id="contract_id",
    ) + differences(
        extra,
        code="charge_not_active",
        text=pl.format("charge {} of {} is drafted, not active", "charge_id", "contract_id"),
        advice="the contract changed after the run: run the period again",
        object_id="contract_id",
    )


def metered_again(events: pl.DataFrame, lines: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Work out the quantity of each metered line again, straight from the events.

    Parameters
    ----------
    events : pl.DataFrame, USAGE_EVENTS
        With repeated ids; they count once, of different contents the earliest.
    lines : pl.DataFrame, one row per (draft_id, line_id)
        ``customer_id, meter, quantity, begins_at, ends_at``.
    meters : pl.DataFrame
        ``meter, aggregation``.

    Returns
    -------
    pl.DataFrame
        The lines with ``metered``.
    """
    is_repeated = events.select(pl.struct("source", "id").is_duplicated()).to_series()
    earliest = ["occurred_at", "customer_id", "meter", "quantity", "unique_value"]
    first = events.filter(is_repeated).sort(earliest).unique(["source", "id"], keep="first")
    once = pl.concat([events.filter(~is_repeated), first])
    inside = (
        lines.select("draft_id", "line_id", "customer_id", "meter", "begins_at", "ends_at")
        .join(once.drop("source", "id"), on=["customer_id", "meter"])
        .filter(
            pl.col("occurred_at") >= pl.col("begins_at"), pl.col("occurred_at") < pl.col("ends_at")
        )
    )
    quantity = pl.col("quantity")
    sums = inside.group_by("draft_id", "line_id").agg(
        sum=quantity.sum(),
        count=pl.len().cast(DECIMAL),
        max=quantity.max(),
        latest=quantity.sort_by("occurred_at").last(),
        unique=pl.col("unique_value").n_unique().cast(DECIMAL),
    )
    zero = pl.lit(0, dtype=pl.Int64).cast(DECIMAL)
    chosen = pl.coalesce(
        *(
            pl.when(pl.col("aggregation") == name).then(pl.col(name))
            for name in ("sum", "count", "max", "latest", "unique")
        ),
        zero,
    )
    return (
        lines.join(sums, on=["draft_id", "line_id"], how="left")
        .join(meters.select("meter", "aggregation"), on="meter", how="left")
        .with_columns(metered=chosen)
        .select(*lines.columns, "metered")
    )


def quantity_differences(compared: pl.DataFrame) -> list[Difference]:
    """Lines whose quantity is not what the events say; ``compared`` from :func:`metered_again`."""
    wrong = compared.filter(pl.col("quantity") != pl.col("metered"))
    return differences(
        wrong,
        code="quantity_differs",
        text=pl.format(
            "line {} of {} bills {} of {}, its events make {}",
            "line_id",
            "draft_id",
            "quantity",
            "meter",
            "metered",
        ),
        advice="correct the case, or run the period again",
        object_id="draft_id",
    )


def total_differences(documents: pl.DataFrame, receivables: pl.DataFrame) -> list[Difference]:
    """Totals of documents against receivable debits; both ``entity_id, currency, total_minor``."""
    key = ["entity_id", "currency"]
    joined = documents.join(
        receivables.rename({"total_minor": "debit_minor"}), on=key, how="full", coalesce=True
    ).with_columns(pl.col("total_minor", "debit_minor").fill_null(0))
    wrong = joined.filter(pl.col("total_minor") != pl.col("debit_minor"))
    return differences(
        wrong,
        code="receivable_differs",
        text=pl.format(
            "{} {}: documents {}, receivable debits {} (minor units)",
            *key,
            "total_minor",
            "debit_minor",
        ),
        advice="the journal was changed outside of Prebill: run `prebill audit verify`",
        object_id="entity_id",
    )


def first_of(found: list[Difference]) -> list[Difference]:
    """The first differences of a kind; the rest is summed up in one."""
    if len(found) <= _FIRST:
        return found
    rest = len(found) - _FIRST
    last = found[0]
    more = Difference(last.code, "", f"… and {rest:,} more of this kind", last.advice)
    return [*found[:_FIRST], more]


def _overlaps(begin: str, end: str, period: Period) -> pl.Expr:
    ends_later = pl.col(end).is_null() | (pl.col(end) > period.start_on)
    return (pl.col(begin) < period.end_on) & ends_later
