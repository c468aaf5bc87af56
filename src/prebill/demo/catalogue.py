"""What the demo company sells and how its books are set up: fixed, the same for every seed."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

import polars as pl

from prebill.core.calendar import add_months, month_period
from prebill.core.money import DECIMAL
from prebill.core.schemas import inbound
from prebill.core.schemas.frame import Frame

PERIOD: Final = month_period("2026-10")
#: First day of the 18 months that the files cover; the last of them is ``PERIOD``.
HISTORY_START_ON: Final = date(2025, 5, 1)
#: The day on which the company's systems were exported: nothing later is in the files.
EXPORTED_ON: Final = date(2026, 11, 2)
GRACE_DAYS: Final = 2

#: Plans in the order of upgrades; the one-off service is sold beside them.
PLANS: Final = ("starter", "team", "business", "enterprise")
SERVICE_PLAN: Final = "onboarding"
VERSION_STARTS: Final = (date(2023, 1, 1), date(2025, 7, 1), date(2026, 7, 1))
VERSION_FACTORS: Final = (Decimal("1.00"), Decimal("1.06"), Decimal("1.13"))


@dataclass(frozen=True, slots=True)
class Entity:
    """A legal entity, its currency and what its prices are multiplied with."""

    entity_id: str
    name: str
    country: str
    currency: str
    time_zone: str
    tax_registration_id: str
    price_factor: Decimal
    share: float


ENTITIES: Final = (
    Entity(
        entity_id="DE01",
        name="Lumen Metrics GmbH",
        country="DE",
        currency="EUR",
        time_zone="Europe/Berlin",
        tax_registration_id="DE136695976",
        price_factor=Decimal("1.00"),
        share=0.5,
    ),
    Entity(
        entity_id="GB01",
        name="Lumen Metrics Ltd",
        country="GB",
        currency="GBP",
        time_zone="Europe/London",
        tax_registration_id="GB980780684",
        price_factor=Decimal("0.88"),
        share=0.2,
    ),
    Entity(
        entity_id="US01",
        name="Lumen Metrics Inc",
        country="US",
        currency="USD",
        time_zone="America/New_York",
        tax_registration_id="94-2404110",
        price_factor=Decimal("1.12"),
        share=0.3,
    ),
)


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge at the prices of the first euro price book; tiers are (up to, price) pairs."""

    charge_id: str
    name: str
    model: str
    source: str
    timing: str
    price: str | None = None
    meter: str | None = None
    included: str = "0"
    package: str | None = None
    tiers: tuple[tuple[str | None, str], ...] = ()


def _fee(price: str) -> Charge:
    return Charge("platform", "Platform fee", "flat", "fixed", "in_advance", price)


def _seats(price: str) -> Charge:
    return Charge("seats", "Seats", "per_unit", "subscribed", "in_advance", price)


_API_TIERS = (("100000", "0.0012"), ("500000", "0.0009"), (None, "0.0006"))
_STORAGE_TIERS = (("100", "0.45"), ("500", "0.38"), (None, "0.30"))


def _api(model: str, included: str) -> Charge:
    return Charge(
        *("api", "API calls", model, "metered", "in_arrears"),
        price="1.50" if model == "package" else None,
        meter="api_calls",
        included=included,
        package="1000" if model == "package" else None,
        tiers=() if model == "package" else _API_TIERS,
    )


def _storage(model: str) -> Charge:
    return Charge(
        *("storage", "Storage, peak", model, "metered", "in_arrears"),
        meter="storage_gb",
        tiers=_STORAGE_TIERS,
    )


def _documents(price: str) -> Charge:
    return Charge(
        *("documents", "Signed documents", "package", "metered", "in_arrears"),
        price=price,
        meter="documents",
        package="10",
    )


CHARGES: Final[dict[str, tuple[Charge, ...]]] = {
    "starter": (_fee("49"), _api("package", "20000")),
    "team": (_seats("18"), _api("graduated", "50000"), _storage("volume")),
    "business": (
        _fee("490"),
        _seats("15"),
        _api("graduated", "100000"),
        _storage("volume"),
        _documents("22"),
    ),
    "enterprise": (
        _fee("1900"),
        _seats("12"),
        _api("volume", "250000"),
        _storage("graduated"),
        _documents("19"),
        Charge(
            *("projects", "Projects", "per_unit", "metered", "in_arrears"),
            price="35",
            meter="projects",
        ),
    ),
    SERVICE_PLAN: (
        Charge("onboarding", "Onboarding days", "per_unit", "subscribed", "in_advance", "640"),
    ),
}

#: meter, name, aggregation, unit, largest plausible event
_METERS = (
    ("api_calls", "API calls", "sum", "calls", "1000000000"),
    ("storage_gb", "Storage", "max", "GB", "1000000000"),
    ("documents", "Signed documents", "count", "documents", "1"),
    ("projects", "Projects", "latest", "projects", "1000000"),
)


def price_book_id(currency: str, version: int) -> str:
    """Return the id of a price book version, counted from 1."""
    return f"standard-{currency.lower()}-v{version}"


def _frame(frame: Frame, rows: list[dict[str, object]]) -> pl.DataFrame:
    """Build a small frame; decimals are given as text or Decimal and stay exact."""
    texts = {c.name: pl.String() for c in frame.columns if c.dtype == DECIMAL}
    plain = [
        {k: str(v) if k in texts and v is not None else v for k, v in row.items()} for row in rows
    ]
    schema = {name: texts.get(name, dtype) for name, dtype in frame.schema.items()}
    return frame.conform(pl.DataFrame(plain, schema=schema).cast(dict.fromkeys(texts, DECIMAL)))


def catalogue() -> dict[str, pl.DataFrame]:
    """Return every frame that doesn't depend on the seed, by the name of its contract."""
    books = [(e, v) for e in ENTITIES for v in range(1, len(VERSION_STARTS) + 1)]
    return {
        "legal_entities": _frame(inbound.LEGAL_ENTITIES, [_entity_row(e) for e in ENTITIES]),
        "meters": _frame(
            inbound.METERS,
            [dict(zip(inbound.METERS.names, meter, strict=True)) for meter in _METERS],
        ),
        "price_books": _frame(inbound.PRICE_BOOKS, [_book_row(e, v) for e, v in books]),
        "plans": _frame(
            inbound.PLANS,
            [
                {
                    "price_book_id": price_book_id(e.currency, v),
                    "plan_id": plan,
                    "name": plan.title(),
                }
                for e, v in books
                for plan in CHARGES
            ],
        ),
        "charges": _frame(
            inbound.CHARGES,
            [_charge_row(e, v, p, c) for e, v in books for p, cs in CHARGES.items() for c in cs],
        ),
        "tiers": _frame(
            inbound.TIERS,
            [
                row
                for e, v in books
                for plan, charges in CHARGES.items()
                for charge in charges
                for row in _tier_rows(e, v, plan, charge)
            ],
        ),
        "exchange_rates": _exchange_rates(),
        **_books_of_account(),
    }


def _entity_row(entity: Entity) -> dict[str, object]:
    return {
        "entity_id": entity.entity_id,
        "name": entity.name,
        "country": entity.country,
        "currency": entity.currency,
        "time_zone": entity.time_zone,
        "tax_registration_id": entity.tax_registration_id,
        "series": entity.entity_id,
        "grace_days": GRACE_DAYS,
        "issue_by_days": 10,
    }


def _book_row(entity: Entity, version: int) -> dict[str, object]:
    return {
        "price_book_id": price_book_id(entity.currency, version),
        "family": f"standard-{entity.currency.lower()}",
        "version": version,
        "currency": entity.currency,
        "effective_from_on": VERSION_STARTS[version - 1],
    }


def _price(text: str | None, entity: Entity, version: int) -> Decimal | None:
    """A list price in the currency and version; fees in cents, unit prices in millionths."""
    if text is None:
        return None
    price = Decimal(text) * entity.price_factor * VERSION_FACTORS[version - 1]
    return price.quantize(Decimal("0.01") if Decimal(text) >= 1 else Decimal("0.000001"))


def _charge_row(entity: Entity, version: int, plan: str, charge: Charge) -> dict[str, object]:
    return {
        "price_book_id": price_book_id(entity.currency, version),
        "plan_id": plan,
        "charge_id": charge.charge_id,
        "name": charge.name,
        "charge_model": charge.model,
        "quantity_source": charge.source,
        "meter": charge.meter,
        "timing": charge.timing,
        "is_prorated": charge.source != "metered" and plan != SERVICE_PLAN,
        "unit_price": _price(charge.price, entity, version),
        "package_size": charge.package,
        "included_quantity": charge.included,
        "tax_category": "services" if plan == SERVICE_PLAN else "saas",
    }


def _tier_rows(entity: Entity, version: int, plan: str, charge: Charge) -> list[dict[str, object]]:
    starts = ["0", *[up_to for up_to, _ in charge.tiers]]
    return [
        {
            "price_book_id": price_book_id(entity.currency, version),
            "plan_id": plan,
            "charge_id": charge.charge_id,
            "from_quantity": start,
            "up_to_quantity": up_to,
            "unit_price": _price(price, entity, version),
            "flat_fee": "0",
        }
        for start, (up_to, price) in zip(starts, charge.tiers, strict=False)
    ]


def _exchange_rates() -> pl.DataFrame:
    """Rates that move with a slow, fixed swing: enough for a demo, none of them real."""
    per_euro = {"EUR": Decimal(1), "GBP": Decimal("0.86"), "USD": Decimal("1.09")}
    days = (EXPORTED_ON - HISTORY_START_ON).days + 1
    rows: list[dict[str, object]] = []
    for base, quote in [(b, q) for b in per_euro for q in per_euro if b != q]:
        for offset in range(days):
            swing = Decimal(abs(offset % 180 - 90) - 45) / 2000
            rate = per_euro[quote] / per_euro[base] * (1 + (swing if base < quote else -swing))
            rows.append(
                {
                    "base_currency": base,
                    "quote_currency": quote,
                    "rate_on": HISTORY_START_ON + timedelta(days=offset),
                    "rate": rate.quantize(Decimal("0.000001")),
                    "source": "demo",
                }
            )
    return _frame(inbound.EXCHANGE_RATES, rows)


#: account, name, kind, purpose it serves
_ACCOUNTS = (
    ("1200", "Trade receivables", "asset", "receivable"),
    ("4400", "Subscription revenue", "income", "revenue"),
    ("3900", "Deferred revenue", "liability", "deferred_revenue"),
    ("3800", "Tax payable", "liability", "tax_payable"),
    ("4999", "Rounding", "expense", "rounding"),
)


def _books_of_account() -> dict[str, pl.DataFrame]:
    accounts: list[dict[str, object]] = []
    mappings: list[dict[str, object]] = []
    periods: list[dict[str, object]] = []
    # Months before the present one were closed in the books before Prebill came: they are not
    # listed, so that past usage may be imported. Later ones are open however late the demo runs.
    months = (2035 - PERIOD.start_on.year) * 12
    for entity in ENTITIES:
        owner = {"entity_id": entity.entity_id}
        for account_id, name, kind, purpose in _ACCOUNTS:
            accounts.append({**owner, "account_id": account_id, "name": name, "kind": kind})
            mappings.append(
                {**owner, "purpose": purpose, "tax_category": "*", "account_id": account_id}
            )
        for offset in range(months):
            start_on = add_months(PERIOD.start_on, offset)
            periods.append({**owner, "period": f"{start_on:%Y-%m}", "status": "open"})
    return {
        "ledger_accounts": _frame(inbound.LEDGER_ACCOUNTS, accounts),
        "account_mappings": _frame(inbound.ACCOUNT_MAPPINGS, mappings),
        "accounting_periods": _frame(inbound.ACCOUNTING_PERIODS, periods),
    }


def noon_at(day: date) -> datetime:
    """Noon UTC: when a system records what it learns on a day."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
