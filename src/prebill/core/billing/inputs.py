"""What billing is given: reference frames as they were known when the run started.

Not here: the rules. ``contracts.py`` swaps what billing was told for what was signed, so that the
same functions price both.
"""

from dataclasses import dataclass, fields
from typing import Final

import polars as pl

from prebill.core.schemas.frame import Frame, day, decimal, optional, text
from prebill.core.schemas.inbound import (
    CHARGES,
    CONTRACTS,
    CUSTOMERS,
    LEGAL_ENTITIES,
    METERS,
    PLANS,
    PRICE_BOOKS,
    SUBSCRIPTION_PHASES,
    SUBSCRIPTIONS,
    TIERS,
)

TAX_RATES: Final = Frame(
    "tax_rates",
    "Dated tax rates of a jurisdiction; category * holds where no own row exists.",
    ("jurisdiction", "tax_category", "effective_from_on"),
    (
        text("jurisdiction", "country, or country-region: DE, GB, US-NY"),
        text("tax_category", "category of a charge, or * for all"),
        decimal("percent", "0 to 100"),
        day("effective_from_on", "first day"),
        optional(day("effective_to_on", "first day after the end; null: open")),
    ),
)

#: Field of BillingInputs → its frame, and the column that orders versions of one key.
FRAMES: Final[dict[str, Frame]] = {
    "entities": LEGAL_ENTITIES,
    "customers": CUSTOMERS,
    "meters": METERS,
    "price_books": PRICE_BOOKS,
    "plans": PLANS,
    "charges": CHARGES,
    "tiers": TIERS,
    "contracts": CONTRACTS,
    "subscriptions": SUBSCRIPTIONS,
    "phases": SUBSCRIPTION_PHASES,
    "tax_rates": TAX_RATES,
}


@dataclass(frozen=True, slots=True)
class BillingInputs:
    """Reference frames of a run, each with the columns of its schema.

    Where a frame has ``recorded_at``, the latest recorded version of a key counts; the caller
    has already left out what was recorded after the run's ``as_of_at``.

    Raises
    ------
    SchemaError
        A required column is absent or a column has another type.
    """

    entities: pl.DataFrame
    customers: pl.DataFrame
    meters: pl.DataFrame
    price_books: pl.DataFrame
    plans: pl.DataFrame
    charges: pl.DataFrame
    tiers: pl.DataFrame
    contracts: pl.DataFrame
    subscriptions: pl.DataFrame
    phases: pl.DataFrame
    tax_rates: pl.DataFrame

    def __post_init__(self) -> None:
        for field in fields(self):
            frame = FRAMES[field.name]
            latest = latest_versions(frame.conform(getattr(self, field.name)), frame.key)
            object.__setattr__(self, field.name, latest)


def latest_versions(frame: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Keep the latest recorded row of each business key (``key`` without ``recorded_at``)."""
    if "recorded_at" not in key:
        return frame
    business_key = [name for name in key if name != "recorded_at"]
    if frame.select(business_key).n_unique() == frame.height:
        return frame
    return frame.sort("recorded_at").unique(business_key, keep="last", maintain_order=True)
