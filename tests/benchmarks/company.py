"""A company of any size for benchmarks: five charges an account, events spread over the month.

Made with columns only, so that 100,000 accounts and 5 M events take seconds.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from prebill.core.money import DECIMAL
from prebill.core.schemas import inbound

PERIOD = "2026-10"
STARTS_ON = date(2025, 1, 1)
RECORDED_AT = datetime(2025, 1, 1, tzinfo=UTC)
ENTITIES = (("DE1", "DE", "EUR", "Europe/Berlin"), ("GB1", "GB", "GBP", "Europe/London"))
METERS = ("api_calls", "storage_gb", "active_users")


def decimals(values: list[str | None]) -> pl.Series:
    """Exact decimals from text."""
    return pl.Series([None if v is None else Decimal(v) for v in values], dtype=DECIMAL)


def frames(accounts: int, events: int, seed: int = 1) -> dict[str, pl.DataFrame]:
    """Return every inbound frame of the company, by contract name."""
    rng = np.random.default_rng(seed)
    return {**reference(), **agreements(accounts), "usage_events": usage(accounts, events, rng)}


def reference() -> dict[str, pl.DataFrame]:
    """Entities, meters, one price book a currency with one plan of five charges, ledger."""
    entities = pl.DataFrame(
        {
            "entity_id": [e[0] for e in ENTITIES],
            "name": [f"Bench {e[1]}" for e in ENTITIES],
            "country": [e[1] for e in ENTITIES],
            "currency": [e[2] for e in ENTITIES],
            "time_zone": [e[3] for e in ENTITIES],
            "tax_registration_id": ["DE136695976", "GB980780684"],
            "series": [e[0] for e in ENTITIES],
            "grace_days": [2, 2],
            "issue_by_days": [14, 14],
        }
    )
    meters = pl.DataFrame(
        {
            "meter": METERS,
            "name": ["API calls", "Storage", "Active users"],
            "aggregation": ["sum", "max", "unique"],
            "unit": ["call", "GB", "user"],
            "max_quantity": decimals(["1000000"] * 3),
        }
    )
    books = pl.DataFrame(
        {
            "price_book_id": [f"PB-{e[2]}-1" for e in ENTITIES],
            "family": [f"PB-{e[2]}" for e in ENTITIES],
            "version": [1, 1],
            "currency": [e[2] for e in ENTITIES],
            "effective_from_on": [STARTS_ON] * 2,
        }
    )
    plans = books.select("price_book_id", plan_id=pl.lit("team"), name=pl.lit("Team"))
    charges = books.select("price_book_id").join(charge_rows(), how="cross")
    tiers = books.select("price_book_id").join(tier_rows(), how="cross")
    return {
        "legal_entities": entities,
        "meters": meters,
        "price_books": books,
        "plans": plans,
        "charges": inbound.CHARGES.conform(charges),
        "tiers": inbound.TIERS.conform(tiers),
        **ledger(entities),
    }


def charge_rows() -> pl.DataFrame:
    """Five charges: flat, per unit, graduated, volume, package."""
    return pl.DataFrame(
        {
            "plan_id": ["team"] * 5,
            "charge_id": ["base", "seats", "api", "storage", "users"],
            "name": ["Base fee", "Seats", "API calls", "Storage", "Active users"],
            "charge_model": ["flat", "per_unit", "graduated", "volume", "package"],
            "quantity_source": ["fixed", "subscribed", "metered", "metered", "metered"],
            "meter": [None, None, *METERS],
            "timing": ["in_advance", "in_advance", *["in_arrears"] * 3],
            "is_prorated": [True, True, False, False, False],
            "unit_price": decimals(["49", "12.5", None, None, "5"]),
            "package_size": decimals([None, None, None, None, "10"]),
            "included_quantity": decimals(["0", "0", "100", "0", "0"]),
            "tax_category": ["saas"] * 5,
        }
    )


def tier_rows() -> pl.DataFrame:
    """Two tiers each for the graduated and the volume charge."""
    return pl.DataFrame(
        {
            "plan_id": ["team"] * 4,
            "charge_id": ["api", "api", "storage", "storage"],
            "from_quantity": decimals(["0", "1000", "0", "50"]),
            "up_to_quantity": decimals(["1000", None, "50", None]),
            "unit_price": decimals(["0.01", "0.0075", "0.2", "0.15"]),
            "flat_fee": decimals(["0", "0", "1", "2"]),
        }
    )


def ledger(entities: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """A small chart of accounts with one account a purpose, exchange rates, an open month."""
    purposes = pl.DataFrame(
        {
            "purpose": ["receivable", "revenue", "deferred_revenue", "tax_payable", "rounding"],
            "account_id": ["1200", "8400", "3900", "1776", "2650"],
            "kind": ["asset", "income", "liability", "liability", "expense"],
        }
    )
    both = entities.select("entity_id").join(purposes, how="cross")
    return {
        "ledger_accounts": both.select(
            "entity_id", "account_id", pl.col("purpose").alias("name"), "kind"
        ),
        "account_mappings": both.select(
            "entity_id", "purpose", pl.lit("*").alias("tax_category"), "account_id"
        ),
        "accounting_periods": entities.select(
            "entity_id", period=pl.lit("2026-11"), status=pl.lit("open")
        ),
    }


def agreements(accounts: int) -> dict[str, pl.DataFrame]:
    """One customer, contract, term, subscription and phase an account."""
    base = pl.DataFrame({"n": pl.int_range(accounts, eager=True)}).with_columns(
        customer_id=pl.format("C{}", pl.col("n").cast(pl.String).str.zfill(7)),
        is_german=pl.col("n") % 2 == 0,
        recorded_at=pl.lit(RECORDED_AT).cast(pl.Datetime("us", "UTC")),
        quantity=(pl.col("n") % 40 + 1).cast(DECIMAL),
        discount_percent=(pl.col("n") % 10 * 2).cast(DECIMAL),
        starts_on=pl.lit(STARTS_ON),
    )
    base = base.with_columns(
        entity_id=pl.when("is_german").then(pl.lit("DE1")).otherwise(pl.lit("GB1")),
        currency=pl.when("is_german").then(pl.lit("EUR")).otherwise(pl.lit("GBP")),
        country=pl.when("is_german").then(pl.lit("DE")).otherwise(pl.lit("GB")),
        contract_id=pl.format("K{}", pl.col("customer_id").str.slice(1)),
        subscription_id=pl.format("S{}", pl.col("customer_id").str.slice(1)),
    )
    terms = base.with_columns(
        plan_id=pl.lit("team"),
        price_book_id=pl.format("PB-{}-1", pl.col("currency")),
        effective_from_on=pl.col("starts_on"),
        started_on=pl.col("starts_on"),
        time_zone=pl.when("is_german")
        .then(pl.lit("Europe/Berlin"))
        .otherwise(pl.lit("Europe/London")),
        payment_terms_days=pl.lit(30, dtype=pl.Int64),
        proration_policy=pl.lit("day_actual"),
        term_id=pl.lit("1"),
        phase_id=pl.lit("1"),
        name=pl.format("Customer {}", pl.col("n")),
        is_business=pl.lit(value=True),
        signed_up_on=pl.col("starts_on"),
    )
    wanted = (
        inbound.CUSTOMERS,
        inbound.CONTRACTS,
        inbound.CONTRACT_TERMS,
        inbound.SUBSCRIPTIONS,
        inbound.SUBSCRIPTION_PHASES,
    )
    return {frame.name: frame.conform(terms) for frame in wanted}


def usage(accounts: int, events: int, rng: np.random.Generator) -> pl.DataFrame:
    """``events`` events of October 2026, spread evenly over accounts and meters."""
    start = int(datetime(2026, 10, 1, 3, tzinfo=UTC).timestamp() * 1_000_000)
    number = np.arange(events, dtype=np.int64)
    frame = pl.DataFrame(
        {
            "n": number,
            "account": number % accounts,
            "meter": (number // accounts) % len(METERS),
            "occurred_at": start + rng.integers(0, 30 * 86_400 * 1_000_000, events),
            "quantity": rng.integers(1, 200, events),
            "user": rng.integers(0, 60, events),
        }
    )
    return frame.select(
        source=pl.lit("bench"),
        id=pl.format("e{}", pl.col("n")),
        customer_id=pl.format("C{}", pl.col("account").cast(pl.String).str.zfill(7)),
        meter=pl.lit(pl.Series(METERS)).gather(pl.col("meter")),
        occurred_at=pl.col("occurred_at").cast(pl.Datetime("us", "UTC")),
        quantity=pl.col("quantity").cast(DECIMAL),
        unique_value=pl.format("u{}", pl.col("user")),
    )


def write(directory: Path, company: dict[str, pl.DataFrame]) -> None:
    """Write the frames as canonical Parquet files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, frame in company.items():
        frame.write_parquet(directory / f"{name}.parquet")
