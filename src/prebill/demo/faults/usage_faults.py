"""Faults on the way of usage: sent twice, lost, in the wrong unit, or frozen."""

from datetime import timedelta
from typing import Final

import polars as pl

from prebill.core.money import DECIMAL
from prebill.demo.catalogue import PERIOD
from prebill.demo.customers import is_active_throughout
from prebill.demo.faults.family import Company, Family, Fault, Frames, Victims

_COUNTED: Final = ["api_calls", "documents"]


def _settled(company: Company) -> pl.Series:
    """Customers of the whole month who were there in the month before as well."""
    since_on = PERIOD.start_on - timedelta(days=30)
    return company.traits.filter(is_active_throughout(company.traits, since_on))["number"]


def _hit(events: pl.DataFrame, victims: Victims, first: pl.Series, length: pl.Series) -> pl.Series:
    """Tell which events are a victim's and fall into its stretch of days of the month."""
    start = pl.lit(PERIOD.start_on)
    stretches = (
        victims.rows.select("customer_id")
        .with_columns(first=first, length=length)
        .select(
            "customer_id",
            from_on=start + pl.duration(days="first"),
            to_on=start + pl.duration(days=pl.col("first") + pl.col("length")),
        )
    )
    day = pl.col("occurred_at").dt.date()
    joined = events.select("customer_id", "occurred_at").join(
        stretches, on="customer_id", how="left", maintain_order="left"
    )
    inside = (day >= pl.col("from_on")) & (day < pl.col("to_on"))
    return joined.select(inside.fill_null(value=False)).to_series()


def _plant_duplicates(frames: Frames, victims: Victims) -> Frames:
    """Send the batches of 5 to 14 days again a few days later: same content, new ids."""
    events = frames["usage_events"]
    hit = _hit(events, victims, victims.whole(0, 0, 15), victims.whole(1, 5, 15))
    again = events.filter(hit & events["meter"].is_in(_COUNTED)).with_columns(
        id=pl.format(
            "b{}-{}",
            (pl.col("occurred_at") + pl.duration(days=2)).dt.strftime("%Y%m%d"),
            pl.col("id").str.slice(1),
        )
    )
    return {"usage_events": pl.concat([events, again])}


def _plant_gap(frames: Frames, victims: Victims) -> Frames:
    """Lose everything that the gateway and the signing service sent on 5 to 16 days."""
    events = frames["usage_events"]
    hit = _hit(events, victims, victims.whole(0, 0, 14), victims.whole(1, 5, 17))
    return {"usage_events": events.filter(~(hit & events["meter"].is_in(_COUNTED)))}


def _plant_unit_error(frames: Frames, victims: Victims) -> Frames:
    """Report thousandths as units on one to four days, in a quarter of the cases of storage."""
    events = frames["usage_events"]
    hit = _hit(events, victims, victims.whole(0, 0, 27), victims.whole(1, 1, 5))
    on_storage = victims.rows.filter(pl.Series(victims.draws[:, 2] < 0.25))["customer_id"]
    meter = pl.when(pl.col("customer_id").is_in(on_storage.implode()))
    wrong = pl.Series(hit) & (
        pl.col("meter") == meter.then(pl.lit("storage_gb")).otherwise(pl.lit("api_calls"))
    )
    thousandfold = pl.col("quantity") * pl.lit(1000).cast(DECIMAL)
    return {
        "usage_events": events.with_columns(
            quantity=pl.when(wrong).then(thousandfold).otherwise("quantity")
        )
    }


def _plant_stuck_meter(frames: Frames, victims: Victims) -> Frames:
    """Repeat one day's reading until the month's end, from its first days or its middle on."""
    events = frames["usage_events"].with_row_index("row")
    since = victims.whole(0, 0, 2) * 13 + victims.whole(1, 0, 3)
    hit = _hit(events, victims, since, pl.Series([31] * len(since))) & (
        events["meter"] == "api_calls"
    )
    frozen = (
        events.filter(hit)
        .sort("occurred_at")
        .with_columns(pl.col("quantity").first().over("customer_id").alias("frozen"))
        .select("row", "frozen")
    )
    stuck = events.join(frozen, on="row", how="left", maintain_order="left")
    return {
        "usage_events": stuck.with_columns(quantity=pl.coalesce("frozen", "quantity")).drop(
            "row", "frozen"
        )
    }


USAGE_FAULTS: Final = (
    Fault(Family.DUPLICATED_USAGE_BATCH, _settled, _plant_duplicates),
    Fault(Family.MISSING_DAYS, _settled, _plant_gap),
    Fault(Family.UNIT_ERROR, _settled, _plant_unit_error),
    Fault(Family.STUCK_METER, _settled, _plant_stuck_meter),
)
