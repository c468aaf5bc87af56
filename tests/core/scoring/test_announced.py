"""Changes that the contract's terms announce, without a price book."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from prebill.core.schemas.inbound import CONTRACT_TERMS, SUBSCRIPTION_PHASES, SUBSCRIPTIONS
from prebill.core.scoring.announced import as_announced, terms_of

FIRST, CHANGED, ISSUED = date(2025, 1, 1), date(2026, 10, 1), date(2026, 11, 2)


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def term(number: int, since: date, until: date | None = None, **values: object) -> dict:
    row = {
        "contract_id": "K1",
        "term_id": f"T{number}",
        "plan_id": "team",
        "price_book_id": "v1",
        "quantity": Decimal(10),
        "discount_percent": Decimal(0),
        "discount_ends_on": None,
        "effective_from_on": since,
        "effective_to_on": until,
        "recorded_at": at(since),
    }
    return row | values


def subscriptions() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "subscription_id": "S1",
                "contract_id": "K1",
                "customer_id": "C1",
                "started_on": FIRST,
                "ended_on": None,
                "recorded_at": at(FIRST),
            }
        ],
        schema=SUBSCRIPTIONS.schema,
    )


def terms(*rows: dict) -> pl.DataFrame:
    signed = pl.DataFrame(list(rows), schema=CONTRACT_TERMS.schema)
    return terms_of(subscriptions(), SUBSCRIPTION_PHASES.empty(), signed)


def agreed_products(lines: list[tuple], terms: pl.DataFrame) -> dict[str, float]:
    """Products of the draft that follow the terms, with what is left of their deviation."""
    frame = pl.DataFrame(
        lines,
        schema=["product", "quantity", "own_quantity", "own_amount"],
        orient="row",
        schema_overrides={"own_quantity": pl.Float64, "own_amount": pl.Float64},
    ).with_columns(
        pl.col("quantity").cast(pl.Float64),
        invoice_id=pl.lit("D1"),
        line_id=pl.int_range(pl.len()).cast(pl.String),
        off_own=pl.lit(5.0),
        off_discount=pl.lit(0.0),
        off_unseen=pl.lit(5.0),
    )
    rows = pl.DataFrame(
        {
            "invoice_id": ["D1"],
            "customer_id": ["C1"],
            "is_draft": [True],
            "issued_on": [ISSUED],
            "period_start_on": [CHANGED],
        }
    )
    found = as_announced(frame, rows, terms)
    assert [5.0] == found["off_unseen"].unique().to_list()
    agreed = found.filter(~pl.col("is_metered"))
    return dict(agreed.select("product", "off_own").iter_rows())


SEATS = ("seats", 14, 10.0, 100.0)
CALLS = ("calls", 9_000, 8_000.0, 300.0)
FEE = ("fee", 1, 1.0, 50.0)


def test_more_seats_by_an_amendment_are_agreed_and_their_rate_is_not() -> None:
    amended = terms(term(1, FIRST, CHANGED), term(2, CHANGED, quantity=Decimal(14)))
    assert {"seats": 5.0} == agreed_products([SEATS, CALLS, FEE], amended)


@pytest.mark.parametrize(
    "second",
    [
        {"quantity": Decimal(12)},
        {"quantity": Decimal(14), "effective_from_on": date(2026, 12, 1)},
        {"quantity": Decimal(14), "recorded_at": at(date(2026, 11, 9))},
    ],
    ids=["other number", "later", "not known yet"],
)
def test_other_seats_than_the_contract_has_are_not_agreed(second: dict) -> None:
    other = terms(term(1, FIRST, CHANGED), term(2, CHANGED) | second)
    assert {} == agreed_products([SEATS, CALLS, FEE], other)


@pytest.mark.parametrize(
    "second",
    [{"price_book_id": "v2"}, {"discount_percent": Decimal(20)}, {"plan_id": "business"}],
    ids=["price book", "discount", "plan"],
)
def test_other_prices_explain_lines_of_unchanged_quantity(second: dict) -> None:
    repriced = terms(term(1, FIRST, CHANGED), term(2, CHANGED) | second)
    assert {"fee": 0.0} == agreed_products([SEATS, CALLS, FEE], repriced)


def test_a_discount_that_ends_is_a_change() -> None:
    ends = {"discount_percent": Decimal(20), "discount_ends_on": CHANGED}
    assert {"fee": 0.0} == agreed_products([SEATS, CALLS, FEE], terms(term(1, FIRST) | ends))


def test_a_new_contract_brings_new_lines() -> None:
    bought = ("days", 3, None, None)
    other = terms(term(1, CHANGED, quantity=Decimal(3)))
    assert {"days": 5.0} == agreed_products([bought, SEATS, CALLS, FEE], other)


def test_unchanged_terms_explain_nothing() -> None:
    assert {} == agreed_products([SEATS, CALLS, FEE], terms(term(1, FIRST)))


def test_what_billing_was_told_stands_in_for_the_contract() -> None:
    signed = pl.DataFrame([term(1, FIRST)], schema=CONTRACT_TERMS.schema)
    told = signed.rename({"term_id": "phase_id"}).with_columns(subscription_id=pl.lit("S1"))
    told = SUBSCRIPTION_PHASES.conform(told.drop("contract_id"))
    assert terms_of(subscriptions(), told, CONTRACT_TERMS.empty()).equals(terms(term(1, FIRST)))
