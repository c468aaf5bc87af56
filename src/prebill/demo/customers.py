"""Who the demo company's customers are and how they behave: one row a customer, seeded."""

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.schemas.inbound import CUSTOMER_LINKS, CUSTOMERS
from prebill.demo.catalogue import ENTITIES, EXPORTED_ON, HISTORY_START_ON, PERIOD
from prebill.demo.randomness import stream
from prebill.demo.tax_ids import vat_ids

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_PLAN_SHARES = (0.40, 0.33, 0.20, 0.07)
_SEAT_MEDIANS = np.array([5.0, 8.0, 30.0, 120.0])
_API_MEDIANS = np.array([1_800.0, 7_000.0, 16_000.0, 60_000.0])
_STORAGE_MEDIANS = np.array([10.0, 60.0, 180.0, 700.0])
_DOCUMENT_MEDIANS = np.array([0.5, 0.7, 1.2, 3.0])
_PROJECT_MEDIANS = np.array([2.0, 4.0, 8.0, 20.0])
#: Share of customers who were there before the history begins; the others join month by month.
_SHARE_AT_START: Final = 0.6
_MONTHLY_CHURN: Final = 0.009

_EU_COUNTRIES = ("DE", "AT", "BE", "FR", "IT", "NL")
_EU_SHARES = (0.60, 0.10, 0.05, 0.10, 0.07, 0.08)
_REGIONS = ("CA", "NY", "TX", "WA", "PA")
_FIRST = "Alder Birch Cedar Dune Elm Fjord Grove Harbor Iris Juniper Kestrel Larch Maple North Oak"
_SECOND = "Analytics Bakery Cargo Design Energy Foods Games Health Labs Media Optics Retail Systems"
_FORMS = {"DE01": "GmbH", "GB01": "Ltd", "US01": "Inc"}
_SEGMENTS = ("small", "small", "mid", "large")


def make_traits(seed: int, customers: int) -> pl.DataFrame:
    """Return the customers with their plan at the start and the habits that make their usage.

    ``number`` is the row index; ``starts_on`` and ``ends_on`` bound the contract; ``*_level`` are
    usual daily quantities; ``growth`` is the log growth a year; ``noise`` the log scatter a day.
    """
    rng = stream(seed, "customers")
    number = np.arange(customers)
    entity = rng.choice(len(ENTITIES), customers, p=[e.share for e in ENTITIES])
    plan = rng.choice(len(_PLAN_SHARES), customers, p=_PLAN_SHARES)
    size = np.exp(rng.normal(0.0, 0.7, customers))
    starts_on, ends_on = _lifetimes(rng, customers)
    pattern = rng.choice(3, customers, p=(0.55, 0.25, 0.20))
    retail = rng.random(customers) < 0.15
    traits = pl.DataFrame(
        {
            "number": number,
            "customer_id": _ids("C", number),
            "entity": [ENTITIES[index].entity_id for index in entity],
            "currency": [ENTITIES[index].currency for index in entity],
            "time_zone": [ENTITIES[index].time_zone for index in entity],
            "starts_on": starts_on,
            "ends_on": ends_on,
            "plan": plan,
            "seats": np.maximum(1, np.rint(_SEAT_MEDIANS[plan] * size)).astype(np.int64),
            "api_level": _API_MEDIANS[plan] * size * np.exp(rng.normal(0, 0.6, customers)),
            "storage_level": _STORAGE_MEDIANS[plan] * size * np.exp(rng.normal(0, 0.5, customers)),
            "document_level": _DOCUMENT_MEDIANS[plan] * np.sqrt(size),
            "project_level": _PROJECT_MEDIANS[plan] * np.sqrt(size),
            "weekly_pattern": pattern,
            "is_retail": retail,
            "season": np.where(retail, rng.uniform(0.5, 0.9, customers), 0.08),
            "season_peak_day": np.where(retail, 330.0, rng.uniform(0, 365, customers)),
            "growth": rng.normal(0.12, 0.2, customers),
            "noise": np.minimum(0.6, np.exp(rng.normal(np.log(0.16), 0.5, customers))),
            "payer": rng.choice(4, customers, p=(0.45, 0.30, 0.17, 0.08)),
        }
    )
    return traits.hstack(_identities(rng, traits))


def _ids(prefix: str, number: Whole) -> list[str]:
    return [f"{prefix}{value:06d}" for value in number.tolist()]


def _lifetimes(rng: np.random.Generator, customers: int) -> tuple[pl.Series, pl.Series]:
    """Draw the first day and the day after the end (null: still a customer) of each contract."""
    months = (PERIOD.end_on.year - HISTORY_START_ON.year) * 12 + (
        PERIOD.end_on.month - HISTORY_START_ON.month
    )
    is_old = rng.random(customers) < _SHARE_AT_START
    joined = np.where(is_old, rng.integers(-24, 0, customers), rng.integers(0, months, customers))
    start_day = np.where(rng.random(customers) < 0.65, 1, rng.integers(2, 29, customers))
    lived = np.maximum(3, rng.geometric(_MONTHLY_CHURN, customers))
    left = np.maximum(joined, 0) + lived
    origin = pl.lit(HISTORY_START_ON)
    frame = pl.DataFrame({"joined": joined, "day": start_day, "left": left}).select(
        starts_on=origin.dt.offset_by(pl.format("{}mo", "joined")).dt.offset_by(
            pl.format("{}d", pl.col("day") - 1)
        ),
        ends_on=pl.when(pl.col("left") < months).then(
            origin.dt.offset_by(pl.format("{}mo", "left"))
        ),
    )
    return frame["starts_on"], frame["ends_on"]


def _identities(rng: np.random.Generator, traits: pl.DataFrame) -> pl.DataFrame:
    """Return country, region, tax id, kind and name of each customer."""
    count = traits.height
    eu = np.array(_EU_COUNTRIES)[rng.choice(len(_EU_COUNTRIES), count, p=_EU_SHARES)]
    entity = traits["entity"].to_numpy()
    country = np.where(entity == "DE01", eu, np.where(entity == "GB01", "GB", "US"))
    region = np.array(_REGIONS)[rng.integers(0, len(_REGIONS), count)]
    is_business = (traits["plan"].to_numpy() > 0) | (rng.random(count) < 0.85)
    numbers = rng.permutation(count).astype(np.int64) * 7_919 + rng.integers(0, 7_000)
    tax_id = np.full(count, None, dtype=object)
    for code in _EU_COUNTRIES:
        chosen = (country == code) & is_business
        tax_id[chosen] = vat_ids(code, numbers[chosen])
    first, second = np.array(_FIRST.split()), np.array(_SECOND.split())
    names = [
        f"{a} {b} {_FORMS[e]} {n}"
        for a, b, e, n in zip(
            first[rng.integers(0, len(first), count)],
            second[rng.integers(0, len(second), count)],
            entity,
            traits["number"],
            strict=True,
        )
    ]
    return pl.DataFrame(
        {
            "country": country,
            "region": pl.Series(
                [r if c == "US" else None for r, c in zip(region, country, strict=True)],
                dtype=pl.String,
            ),
            "tax_id": pl.Series(tax_id.tolist(), dtype=pl.String),
            "is_business": is_business,
            "name": names,
            "segment": [_SEGMENTS[plan] for plan in traits["plan"]],
        }
    )


def customer_frames(traits: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the canonical customers and their ids in other systems."""
    customers = traits.with_columns(
        email=pl.format("billing+{}@example.com", pl.col("customer_id").str.to_lowercase()),
        signed_up_on=pl.col("starts_on"),
    )
    links = pl.concat(
        traits.select(
            "customer_id",
            system=pl.lit(system),
            external_id=pl.format(pattern, pl.col("number") + 10_000),
        )
        for system, pattern in (("crm", "ACC-{}"), ("erp", "D{}"), ("gateway", "cus_{}"))
    )
    return {
        "customers": CUSTOMERS.conform(customers.select(CUSTOMERS.names)),
        "customer_links": CUSTOMER_LINKS.conform(links),
    }


def is_active_throughout(traits: pl.DataFrame, since_on: date = PERIOD.start_on) -> pl.Series:
    """Tell who is a customer from ``since_on`` to the end of the present month."""
    return traits.select(
        (pl.col("starts_on") <= since_on)
        & (pl.col("ends_on").is_null() | (pl.col("ends_on") >= EXPORTED_ON))
    ).to_series()
