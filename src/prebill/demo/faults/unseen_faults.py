"""Two families that no detector was written for: what is unknown is unknown in other ways too.

They leave traces in the files, as everything does, but none that a rule looks for by name.
"""

from typing import Final

import polars as pl

from prebill.demo.catalogue import PERIOD
from prebill.demo.faults.family import Company, Family, Fault, Frames, Victims
from prebill.demo.faults.usage_faults import settled, within

_DAYS: Final = (PERIOD.end_on - PERIOD.start_on).days


def _plant_sibling_usage(frames: Frames, victims: Victims) -> Frames:
    """Bill the calls of another customer's account to the victim as well, on some days."""
    events = frames["usage_events"]
    is_now = events["occurred_at"].dt.date() >= PERIOD.start_on
    calls = events.filter(is_now & (events["meter"] == "api_calls"))
    everybody = calls["customer_id"].unique().sort()
    donors = everybody.gather(victims.whole(2, 0, len(everybody)).to_list())
    pairs = victims.rows.select("customer_id").with_columns(donor=donors)
    theirs = (
        calls.join(pairs.rename({"customer_id": "victim"}), left_on="customer_id", right_on="donor")
        .filter(pl.col("victim") != pl.col("customer_id"))
        .with_columns(id=pl.format("{}-{}", "id", "victim"), customer_id=pl.col("victim"))
        .select(events.columns)
        .sort("source", "id")
    )
    hit = within(theirs, victims, *victims.stretch(_DAYS))
    return {"usage_events": pl.concat([events, theirs.filter(hit)])}


def _signs_documents(company: Company) -> pl.Series:
    """Settled customers with a signed document on most days of the month."""
    events = company.frames["usage_events"]
    signed = events.filter(
        (pl.col("meter") == "documents") & (pl.col("occurred_at").dt.date() >= PERIOD.start_on)
    )
    often = signed.group_by("customer_id").len().filter(pl.col("len") >= _DAYS // 2)
    numbers = company.traits.join(often, on="customer_id", how="semi")["number"]
    free = settled(company)
    return free.filter(free.is_in(numbers.implode()))


def _plant_counted_twice(frames: Frames, victims: Victims) -> Frames:
    """Count a document when it is signed and once more, minutes later, when it is archived."""
    events = frames["usage_events"]
    _, length = victims.stretch(_DAYS)
    hit = within(events, victims, _DAYS - length, length) & (events["meter"] == "documents")
    archived = events.filter(hit).with_columns(
        id=pl.format("{}-archived", "id"),
        occurred_at=pl.col("occurred_at") + pl.duration(minutes=7),
    )
    return {"usage_events": pl.concat([events, archived])}


UNSEEN_FAULTS: Final = (
    Fault(Family.SIBLING_USAGE, settled, _plant_sibling_usage),
    Fault(Family.DOCUMENT_COUNTED_TWICE, _signs_documents, _plant_counted_twice),
)
