"""What a policy knows of a draft beside its scores; what is not known is null."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES
from prebill.core.scoring.announced import TERMS
from prebill.core.scoring.circumstances import CIRCUMSTANCES, circumstances
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.scene import scene_of
from tests.core.scoring.company import DRAFTED, company

ONE, NEW = "C001", "C002"


@pytest.fixture(scope="module")
def inputs() -> ScoringInputs:
    """One customer has a discounted line and nothing known of it; another no earlier invoice."""
    made = company(customers=6)
    history = made.history.invoices.filter(pl.col("customer_id") != NEW)
    mine = made.drafts.invoices.filter(customer_id=ONE)["invoice_id"]
    less = made.drafts.lines.filter(pl.col("invoice_id").is_in(mine.implode())).head(1)
    less = less.with_columns(
        line_id=pl.lit("less"),
        product=pl.lit("goodwill"),
        amount_minor=pl.lit(-700, dtype=pl.Int64),
    )
    lines = pl.concat([made.drafts.lines, INVOICE_LINES.conform(less)])
    return replace(
        made,
        history=Books(history, made.history.lines),
        drafts=Books(made.drafts.invoices, lines),
    )


def known(inputs: ScoringInputs, customer: str = ONE) -> dict:
    found = circumstances(scene_of(inputs))
    assert found.schema == CIRCUMSTANCES.schema
    assert inputs.drafts.invoices.height == found.height
    return found.row(by_predicate=pl.col("invoice_id").str.starts_with(customer), named=True)


def test_lines_terms_and_past_of_a_draft(inputs: ScoringInputs) -> None:
    past = inputs.history.invoices.filter(customer_id=ONE)
    draft = inputs.drafts.invoices.filter(customer_id=ONE)
    row = known(inputs)
    assert 700 == row["credit_minor"]
    assert "goodwill" in row["products"].split(",")
    assert past.height == row["earlier_invoices"]
    assert (DRAFTED - past["issued_on"].min()).days == row["tenure_days"]
    assert (draft["due_on"][0] - draft["issued_on"][0]).days == row["payment_days"]
    usual = past["total_minor"].median()
    assert usual * 0.8 < row["ordinary_minor"] < usual * 1.25
    assert draft["legal_entity"][0] == row["legal_entity"]


def test_first_invoice_has_no_ordinary_amount_and_no_tenure(inputs: ScoringInputs) -> None:
    row = known(inputs, NEW)
    assert (0, 0, None) == (row["earlier_invoices"], row["tenure_days"], row["ordinary_minor"])
    assert 0 == row["credit_minor"]


def test_without_history_it_is_not_known_who_is_new(inputs: ScoringInputs) -> None:
    row = known(replace(inputs, history=Books()))
    assert (None, None) == (row["earlier_invoices"], row["tenure_days"])


def test_without_lines_nothing_is_known_of_products_and_credit(inputs: ScoringInputs) -> None:
    row = known(replace(inputs, drafts=Books(inputs.drafts.invoices)))
    assert (None, None) == (row["products"], row["credit_minor"])


def test_customer_master_data_says_segment_and_evidence(inputs: ScoringInputs) -> None:
    row = {"customer_id": ONE, "country": "GB", "segment": "large"}
    row |= {"signed_up_on": DRAFTED - timedelta(days=3000)}
    customers = CUSTOMERS.conform(pl.DataFrame([row]))
    found = known(replace(inputs, customers=customers))
    assert ("large", True, False) == (
        found["segment"],
        found["has_country"],
        found["has_tax_id"],
    )
    assert 3000 == found["tenure_days"]
    assert known(replace(inputs, customers=customers), "C003")["has_country"] is None


def terms(inputs: ScoringInputs, **changes: object) -> pl.DataFrame:
    row = {
        "customer_id": ONE,
        "contract_id": "K1",
        "plan_id": "team",
        "price_book_id": "v1",
        "quantity": Decimal(10),
        "discount_percent": Decimal(10),
        "discount_ends_on": None,
        "effective_from_on": date(2024, 1, 1),
        "effective_to_on": None,
        "recorded_at": datetime(2024, 1, 1, tzinfo=UTC),
    }
    return pl.DataFrame([row | changes], schema=TERMS.schema)


def start_on(inputs: ScoringInputs) -> date:
    draft = inputs.drafts.invoices.filter(customer_id=ONE)
    return draft["period_start_on"][0] or draft["issued_on"][0] - timedelta(days=25)


@pytest.mark.parametrize(
    "name", ["effective_from_on", "effective_to_on", "discount_ends_on", "recorded_at"]
)
def test_contract_change_is_seen_in_the_first_invoice_with_it(
    inputs: ScoringInputs, name: str
) -> None:
    starts_on = start_on(inputs)
    days = {"at": starts_on, "before": starts_on - timedelta(days=40)}
    if name == "recorded_at":
        days["at"] = DRAFTED - timedelta(days=1)
        days = {
            key: datetime(day.year, day.month, day.day, tzinfo=UTC) for key, day in days.items()
        }
    found = {
        key: known(replace(inputs, terms=terms(inputs, **{name: day})))["has_contract_change"]
        for key, day in days.items()
    }
    assert {"at": True, "before": False} == found


def test_contract_change_is_unknown_without_terms(inputs: ScoringInputs) -> None:
    assert known(inputs)["has_contract_change"] is None
    assert known(replace(inputs, terms=terms(inputs)), "C003")["has_contract_change"] is None
