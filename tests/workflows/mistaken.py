"""A billed company in which one account each is mistaken in another way."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from prebill.bootstrap import Installation
from prebill.core import policy as policy_package
from prebill.core.money import DECIMAL
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from tests.benchmarks import company
from tests.workflows import world

ACCOUNTS = 40
RECORDED_AT = datetime(2026, 11, 2, tzinfo=UTC)
#: Mistake → number of the account that has it.
MISTAKEN = {
    "quantity": 3,
    "discount": 14,
    "price": 5,
    "tax": 6,
    "usage": 7,
    "amendment": 8,
    "twice": 9,
    "quantity and tax": 12,
}


def install(
    database_url: str, home: Path, *, accounts: int = ACCOUNTS, events: int = 4_800
) -> Installation:
    """Open an installation, load the company with its mistakes and bill it."""
    settings = Settings.load(home, database_url=database_url, policy_path=exact_policy(home))
    opened = Installation(settings, Store(database_url), Lake(settings.lake_dir))
    world.load(opened, with_mistakes(company.frames(accounts, events)))
    world.run(opened, shard_customers=1_000)
    return opened


def exact_policy(home: Path) -> Path:
    """The default policy with the rules about exact findings alone."""
    text = (Path(policy_package.__file__).parent / "default.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    document["rules"] = [one for one in document["rules"] if one["kind"] == "finding"]
    path = home / "exact.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def case_of(opened: Installation, mistake: str) -> dict[str, Any]:
    """The open case of the account with a mistake."""
    number = MISTAKEN[mistake]
    subscription = f"S{number:07d}" + ("B" if mistake == "twice" else "")
    (case,) = world.rows(
        opened,
        "SELECT c.* FROM cases c JOIN drafts d ON d.draft_id = c.draft_id "
        f"AND d.version = c.draft_version WHERE d.subscription_id = '{subscription}' "
        "AND c.status = 'open'",
    )
    return case


def with_mistakes(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Billing is told something else than was signed, and sends a batch twice."""
    phases, terms = frames["subscription_phases"], frames["contract_terms"]
    second, second_phases = _second_subscription(frames)
    changes = {
        "quantity": pl.lit(99).cast(DECIMAL),
        "quantity and tax": pl.lit(99).cast(DECIMAL),
    }
    for mistake, quantity in changes.items():
        phases = _set(phases, "subscription_id", mistake, quantity=quantity)
    phases = _set(phases, "subscription_id", "discount", discount_percent=pl.lit(50).cast(DECIMAL))
    phases = _set(phases, "subscription_id", "price", price_book_id=pl.lit("PB-GBP-0"))
    return {
        **frames,
        **_old_books(frames),
        "subscription_phases": pl.concat([phases, second_phases]),
        "subscriptions": pl.concat([frames["subscriptions"], second]),
        "contract_terms": _amended_in_october(terms),
        "customers": _moved(frames["customers"]),
        "usage_events": _sent_twice(frames["usage_events"]),
    }


def _is(column: str, mistake: str) -> pl.Expr:
    return pl.col(column).str.slice(1) == f"{MISTAKEN[mistake]:07d}"


def _set(frame: pl.DataFrame, owner: str, mistake: str, **values: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(_is(owner, mistake)).then(value).otherwise(name).alias(name)
        for name, value in values.items()
    )


def _old_books(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Price books of before, a tenth cheaper."""
    old = pl.col("price_book_id").str.replace("-1$", "-0")
    cheaper = {
        name: (pl.col(name) * pl.lit(Decimal("0.9"))).cast(DECIMAL)
        for name in ("unit_price", "flat_fee")
    }
    found = {}
    for name in ("price_books", "plans", "charges", "tiers"):
        frame = frames[name]
        prices = [one.alias(n) for n, one in cheaper.items() if n in frame.columns]
        copied = frame.with_columns(old, *prices)
        if name == "price_books":
            copied = copied.with_columns(version=pl.lit(0, dtype=pl.Int64))
        found[name] = pl.concat([frame, copied])
    return found


def _amended_in_october(terms: pl.DataFrame) -> pl.DataFrame:
    """Five more seats from 16 October on, which billing was not told."""
    amended_on = pl.lit(date(2026, 10, 16))
    own = terms.filter(_is("contract_id", "amendment")).with_columns(
        recorded_at=pl.lit(RECORDED_AT).cast(terms.schema["recorded_at"])
    )
    first = own.with_columns(effective_to_on=amended_on)
    second = own.with_columns(
        term_id=pl.lit("2"),
        quantity=(pl.col("quantity") + 5).cast(DECIMAL),
        effective_from_on=amended_on,
    )
    return pl.concat([terms, first, second])


def _moved(customers: pl.DataFrame) -> pl.DataFrame:
    """Germans that are in Austria by mistake."""
    for mistake in ("tax", "quantity and tax"):
        customers = _set(customers, "customer_id", mistake, country=pl.lit("AT"))
    return customers


def _second_subscription(
    frames: dict[str, pl.DataFrame],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    own = frames["subscriptions"].filter(_is("subscription_id", "twice"))
    phases = frames["subscription_phases"].filter(_is("subscription_id", "twice"))
    again = pl.format("{}B", "subscription_id")
    later = pl.lit(RECORDED_AT).cast(own.schema["recorded_at"])
    return (
        own.with_columns(subscription_id=again, recorded_at=later),
        phases.with_columns(subscription_id=again, recorded_at=later),
    )


def _sent_twice(events: pl.DataFrame) -> pl.DataFrame:
    """Usage of earlier months, sent once; of one account's October a batch is sent again."""
    earlier = [
        events.with_columns(
            id=pl.format("{}-{}", "id", pl.lit(months)),
            occurred_at=pl.col("occurred_at").dt.offset_by(f"-{28 * months}d"),
        )
        for months in (1, 2, 3, 4)
    ]
    own = events.filter(_is("customer_id", "usage"), pl.col("meter") == "api_calls")
    again = own.head(own.height // 2).with_columns(id=pl.format("{}-again", "id"))
    return pl.concat([events, *earlier, again])
