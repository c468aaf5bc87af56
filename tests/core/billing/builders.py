"""Valid reference frames for billing tests; a test states only what matters to it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from prebill.core.billing.inputs import TAX_RATES, BillingInputs
from prebill.core.billing.invoicing import Billed, bill, windows
from prebill.core.billing.metering import Metered, meter_usage
from prebill.core.billing.tax_rates import bundled_tax_rates
from prebill.core.calendar import Period, month_period
from prebill.core.money import DECIMAL
from prebill.core.schemas import inbound
from prebill.core.schemas.frame import Frame, Kind

OCTOBER = month_period("2026-10")
RECORDED_AT = datetime(2025, 1, 1, tzinfo=UTC)
Row = dict[str, Any]

DEFAULTS: dict[str, Row] = {
    "legal_entities": {
        "entity_id": "DE1",
        "name": "Muster GmbH",
        "country": "DE",
        "currency": "EUR",
        "time_zone": "Europe/Berlin",
        "tax_registration_id": "DE136695976",
        "series": "DE1",
        "grace_days": 2,
        "issue_by_days": 14,
    },
    "customers": {"customer_id": "C1", "name": "Kunde", "country": "DE", "is_business": True},
    "meters": {
        "meter": "calls",
        "name": "Calls",
        "aggregation": "sum",
        "unit": "call",
        "max_quantity": "1000000",
    },
    "price_books": {
        "price_book_id": "PB1",
        "family": "PB",
        "version": 1,
        "currency": "EUR",
        "effective_from_on": date(2025, 1, 1),
    },
    "plans": {"price_book_id": "PB1", "plan_id": "team", "name": "Team"},
    "charges": {
        "price_book_id": "PB1",
        "plan_id": "team",
        "charge_id": "base",
        "name": "Base fee",
        "charge_model": "flat",
        "quantity_source": "fixed",
        "meter": None,
        "timing": "in_advance",
        "is_prorated": True,
        "unit_price": "100",
        "package_size": None,
        "included_quantity": "0",
        "tax_category": "saas",
    },
    "tiers": {
        "price_book_id": "PB1",
        "plan_id": "team",
        "charge_id": "base",
        "from_quantity": "0",
        "up_to_quantity": None,
        "unit_price": "1",
        "flat_fee": "0",
    },
    "contracts": {
        "contract_id": "K1",
        "customer_id": "C1",
        "entity_id": "DE1",
        "currency": "EUR",
        "time_zone": "Europe/Berlin",
        "starts_on": date(2025, 1, 1),
        "ends_on": None,
        "payment_terms_days": 30,
        "proration_policy": "day_actual",
        "recorded_at": RECORDED_AT,
    },
    "contract_terms": {
        "contract_id": "K1",
        "term_id": "1",
        "plan_id": "team",
        "price_book_id": "PB1",
        "quantity": "1",
        "discount_percent": "0",
        "discount_ends_on": None,
        "effective_from_on": date(2025, 1, 1),
        "effective_to_on": None,
        "recorded_at": RECORDED_AT,
    },
    "subscriptions": {
        "subscription_id": "S1",
        "contract_id": "K1",
        "customer_id": "C1",
        "started_on": date(2025, 1, 1),
        "ended_on": None,
        "recorded_at": RECORDED_AT,
    },
    "subscription_phases": {
        "subscription_id": "S1",
        "phase_id": "1",
        "plan_id": "team",
        "price_book_id": "PB1",
        "quantity": "1",
        "discount_percent": "0",
        "discount_ends_on": None,
        "effective_from_on": date(2025, 1, 1),
        "effective_to_on": None,
        "recorded_at": RECORDED_AT,
    },
    "usage_events": {
        "source": "app",
        "id": "e1",
        "customer_id": "C1",
        "meter": "calls",
        "occurred_at": datetime(2026, 10, 15, 12, tzinfo=UTC),
        "quantity": "1",
        "unique_value": None,
    },
}
FRAMES = {frame.name: frame for frame in inbound.INBOUND}


def rows_of(frame: Frame, rows: list[Row]) -> pl.DataFrame:
    """Rows as a frame of exact types: decimals from text, absent columns null."""
    columns = []
    for column in frame.columns:
        values = [row.get(column.name) for row in rows]
        if column.kind is Kind.DECIMAL:
            values = [None if value is None else Decimal(value) for value in values]
        columns.append(pl.Series(column.name, values, dtype=column.dtype))
    return pl.DataFrame(columns)


def table(name: str, *rows: Row) -> pl.DataFrame:
    """Rows of an inbound frame, each filled up with the defaults."""
    return rows_of(FRAMES[name], [{**DEFAULTS[name], **row} for row in rows])


def inputs(**rows: list[Row]) -> BillingInputs:
    """One customer with one contract and one flat charge, but for what is given by frame name."""
    names = {
        "entities": "legal_entities",
        "phases": "subscription_phases",
        **{name: name for name in ("customers", "meters", "price_books", "plans", "charges")},
        **{name: name for name in ("contracts", "subscriptions")},
    }
    frames = {field: table(name, *rows.get(field, [{}])) for field, name in names.items()}
    tiers = table("tiers", *rows.get("tiers", []))
    rates = rows.get("tax_rates")
    tax_rates = bundled_tax_rates() if rates is None else rows_of(TAX_RATES, rates)
    return BillingInputs(**frames, tiers=tiers, tax_rates=tax_rates)


def events(*rows: Row) -> pl.DataFrame:
    """Usage events with ids e0, e1, … unless given."""
    return table("usage_events", *({"id": f"e{n}", **row} for n, row in enumerate(rows)))


def metered(
    world: BillingInputs, usage: pl.DataFrame | None = None, period: Period = OCTOBER
) -> Metered:
    """Meter the usage in the windows of the world."""
    given = events() if usage is None else usage
    return meter_usage(given, world.meters, windows(world, period))


def billed(
    world: BillingInputs, usage: pl.DataFrame | None = None, period: Period = OCTOBER
) -> Billed:
    """Meter and bill."""
    return bill(world, metered(world, usage, period).quantities, period)


def decimals(*texts: str | None) -> pl.Series:
    """Exact decimals from text."""
    return pl.Series([None if t is None else Decimal(t) for t in texts], dtype=DECIMAL)
