"""Checks of usage events against what is known of meters, contracts and accounting periods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from prebill.core.money import DECIMAL

#: How far a sender's clock may run ahead before an event counts as one from the future.
CLOCK_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class EventContext:
    """What events are checked against.

    ``meters``: meter, max_quantity. ``contracts``: customer_id, starts_at (UTC, start of the
    first day in the contract's zone), time_zone. ``closed``: customer_id, period; months that
    are closed already.
    """

    as_of_at: datetime
    meters: pl.DataFrame
    contracts: pl.DataFrame
    closed: pl.DataFrame


def implausible_quantity(events: pl.DataFrame, context: EventContext) -> pl.Series:
    """Mark events above the max_quantity of their meter."""
    known = context.meters.select("meter", pl.col("max_quantity").cast(DECIMAL))
    joined = events.join(known, on="meter", how="left", maintain_order="left")
    return joined.select(pl.col("quantity").abs() > pl.col("max_quantity")).to_series()


def from_future(events: pl.DataFrame, context: EventContext) -> pl.Series:
    """Mark events that lie after the time of the import."""
    latest_at = context.as_of_at + CLOCK_SKEW
    return events.select(pl.col("occurred_at") > pl.lit(latest_at)).to_series()


def before_contract(events: pl.DataFrame, context: EventContext) -> pl.Series:
    """Mark events older than the first contract of their customer; no contract: not marked."""
    first = context.contracts.group_by("customer_id").agg(pl.col("starts_at").min())
    joined = events.join(first, on="customer_id", how="left", maintain_order="left")
    return joined.select(pl.col("occurred_at") < pl.col("starts_at")).to_series()


def in_closed_period(events: pl.DataFrame, context: EventContext) -> pl.Series:
    """Mark events of months that the customer's entity has closed, in the zone of the contract.

    In several zones it counts as late only if it is late in all: it may belong to an open month.
    """
    if context.closed.is_empty():
        return pl.repeat(value=False, n=events.height, dtype=pl.Boolean, eager=True)
    zones = context.contracts.select("customer_id", "time_zone").unique()
    closed = context.closed.select("customer_id", "period").unique()
    numbered = events.select("customer_id", "occurred_at").with_row_index("event")
    placed = numbered.join(zones, on="customer_id")
    late = [
        part.with_columns(
            period=pl.col("occurred_at").dt.convert_time_zone(zone).dt.strftime("%Y-%m")
        )
        .join(closed, on=["customer_id", "period"], how="semi")
        .select("event")
        for (zone,), part in placed.partition_by("time_zone", as_dict=True).items()
    ]
    in_all = pl.concat([placed.select("event").clear(), *late]).group_by("event").len("late")
    zones_of = placed.group_by("event").len("zones")
    is_late = in_all.join(zones_of, on="event").filter(pl.col("late") == pl.col("zones"))
    return numbered["event"].is_in(is_late["event"].implode())


#: Check name → function, and the column that a failure names.
EVENT_CHECKS: Final[Mapping[str, Callable[[pl.DataFrame, EventContext], pl.Series]]] = {
    "plausible_quantity": implausible_quantity,
    "not_from_future": from_future,
    "not_before_contract": before_contract,
    "period_open": in_closed_period,
}
EVENT_COLUMNS: Final[Mapping[str, str]] = {
    "plausible_quantity": "quantity",
    "not_from_future": "occurred_at",
    "not_before_contract": "occurred_at",
    "period_open": "occurred_at",
}
