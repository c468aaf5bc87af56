"""A company of any size for benchmarks: five charges an account, events spread over the month.

Made with columns only, so that 100,000 accounts and 5 M events take seconds.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.invoicing import bill, windows
from prebill.core.billing.metering import meter_usage
from prebill.core.billing.tax_rates import bundled_tax_rates
from prebill.core.calendar import month_period
from prebill.core.money import DECIMAL
from prebill.core.schemas import inbound

PERIOD = "2026-10"
STARTS_ON = date(2025, 1, 1)
RECORDED_AT = datetime(2025, 1, 1, tzinfo=UTC)
ENTITIES = (("DE1", "DE", "EUR", "Europe/Berlin"), ("GB1", "GB", "GBP", "Europe/London"))
DAY_MICROSECONDS = 86_400 * 1_000_000
CHARGES = ("base", "seats", "api", "storage", "users")
METERS = ("api_calls", "storage_gb", "active_users")


def decimals(values: list[str | None]) -> pl.Series:
    """Exact decimals from text."""
    return pl.Series([None if v is None else Decimal(v) for v in values], dtype=DECIMAL)


def frames(
    accounts: int, events: int, *, history_months: int = 6, seed: int = 1
) -> dict[str, pl.DataFrame]:
    """Return every inbound frame of the company, by contract name."""
    rng = np.random.default_rng(seed)
    present = {**reference(), **agreements(accounts), "usage_events": usage(accounts, events, rng)}
    if not history_months:
        return present
    return {**present, **history(billed_october(present), history_months, rng)}


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
            "charge_id": CHARGES,
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


def history(lines: pl.DataFrame, months: int, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Past invoices like the ones of October, metered lines a tenth up or down, and payments.

    ``lines`` are October's billed lines with ``customer_id, entity_id, currency``.
    """
    past = lines.join(pl.DataFrame({"months_ago": np.arange(months, 0, -1)}), how="cross")
    swing = pl.Series(rng.integers(900, 1101, past.height))
    amount = pl.when(pl.col("meter").is_null()).then("amount_minor")
    amount = amount.otherwise(pl.col("amount_minor") * swing // 1000)
    past = past.with_columns(
        invoice_id=pl.format("H{}-{}", pl.col("customer_id"), pl.col("months_ago")),
        amount_minor=amount,
        product=pl.col("charge_id"),
    ).with_columns(
        tax_minor=(pl.col("amount_minor") * pl.col("tax_percent").cast(pl.Int64) + 50) // 100
    )
    start = pl.date(2026, 10, 1).dt.offset_by(pl.format("-{}mo", pl.col("months_ago")))
    invoices = (
        past.group_by(
            "invoice_id",
            "customer_id",
            "currency",
            "months_ago",
            legal_entity="entity_id",
            maintain_order=True,  # the delays below are dealt by position
        )
        .agg(subtotal_minor=pl.col("amount_minor").sum(), tax_minor=pl.col("tax_minor").sum())
        .with_columns(
            total_minor=pl.col("subtotal_minor") + pl.col("tax_minor"), period_start_on=start
        )
        .with_columns(period_end_on=pl.col("period_start_on").dt.offset_by("1mo"))
        .with_columns(issued_on=pl.col("period_end_on") + pl.duration(days=4))
        .with_columns(due_on=pl.col("issued_on") + pl.duration(days=30))
    )
    late = pl.Series(rng.integers(-5, 20, invoices.height))
    payments = invoices.select(
        pl.format("P{}", pl.col("invoice_id")).alias("payment_id"),
        "invoice_id",
        (pl.col("due_on") + pl.duration(days=late)).alias("paid_on"),
        pl.col("total_minor").alias("amount_minor"),
    ).filter(pl.col("paid_on") < pl.date(2026, 11, 1))
    return {
        "invoices": inbound.INVOICES.conform(invoices),
        "invoice_lines": inbound.INVOICE_LINES.conform(past),
        "payments": payments,
    }


def billed_october(company: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """October's lines by the engine itself, beside the draft's customer, entity and currency."""
    inputs = billing_inputs(company)
    period = month_period(PERIOD)
    metered = meter_usage(company["usage_events"], inputs.meters, windows(inputs, period))
    billed = bill(inputs, metered.quantities, period)
    owner = billed.drafts.select("draft_id", "customer_id", "entity_id", "currency")
    return billed.lines.join(owner, on="draft_id")


def billing_inputs(company: dict[str, pl.DataFrame]) -> BillingInputs:
    """Billing inputs of a company's frames."""
    return BillingInputs(
        entities=company["legal_entities"],
        customers=company["customers"],
        meters=company["meters"],
        price_books=company["price_books"],
        plans=company["plans"],
        charges=company["charges"],
        tiers=company["tiers"],
        contracts=company["contracts"],
        subscriptions=company["subscriptions"],
        phases=company["subscription_phases"],
        tax_rates=bundled_tax_rates(),
    )


def usage(accounts: int, events: int, rng: np.random.Generator) -> pl.DataFrame:
    """``events`` events of October 2026, spread evenly over accounts and meters."""
    start = int(datetime(2026, 10, 1, 3, tzinfo=UTC).timestamp() * 1_000_000)
    number = np.arange(events, dtype=np.int64)
    frame = pl.DataFrame(
        {
            "n": number,
            "account": number % accounts,
            "meter": (number // accounts) % len(METERS),
            "occurred_at": start + _moments(number % accounts, rng),
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


def _moments(account: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Microseconds into the month; the first account uses everything on its last day too."""
    moments = rng.integers(0, 30 * DAY_MICROSECONDS, account.size)
    return np.where(account == 0, 30 * DAY_MICROSECONDS + moments % 3_600_000_000, moments)


def write(directory: Path, company: dict[str, pl.DataFrame]) -> None:
    """Write the frames as canonical Parquet files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, frame in company.items():
        frame.write_parquet(directory / f"{name}.parquet")
