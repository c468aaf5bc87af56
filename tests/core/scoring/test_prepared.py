"""A draft beside what was prepared of its customer is judged as beside the customer's books."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.money import DECIMAL
from prebill.core.policy.model import Policy
from prebill.core.scoring.company import Company, company_of
from prebill.core.scoring.detectors import DRAFT_DETECTORS
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models
from prebill.core.scoring.prepared import Prepared, prepare, scene_prepared
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import score_scene
from prebill.store.profiles import payloads, prepared_of
from tests.core.scoring.company import altered, company, with_calls
from tests.core.scoring.test_norms import own

POLICY = Policy.default()
#: Ten times the calls; half the calls; a wrong tax; another entity; a twin of the invoice before.
WRONG, LESS, TAXED, MOVED, TWIN = (f"C{number:03}-202512" for number in (3, 4, 5, 6, 7))


@pytest.fixture(scope="module")
def inputs() -> ScoringInputs:
    made = with_calls(with_calls(company(months=26), WRONG, 10), LESS, 0.5)
    made = altered(made, TAXED, tax_minor=pl.col("tax_minor") * 2)
    made = altered(made, MOVED, legal_entity=pl.lit("IE"))
    made = twin(made, TWIN, "C007-202511")
    lines = mispriced_last(made.history.lines)
    made = replace(made, history=Books(once_elsewhere(made.history.invoices), lines))
    return replace(made, usage_days=made.usage_days.clear())


def mispriced_last(lines: pl.DataFrame) -> pl.DataFrame:
    """One customer's last invoice had another price and tax code than those before it."""
    here = (pl.col("invoice_id") == "C008-202511") & (pl.col("product") == "base")
    return lines.with_columns(
        unit_price=pl.when(here).then(pl.lit(60).cast(DECIMAL)).otherwise("unit_price"),
        amount_minor=pl.when(here).then(6000).otherwise("amount_minor"),
        tax_code=pl.when(here).then(pl.lit("GB-R-5")).otherwise("tax_code"),
    )


def once_elsewhere(history: pl.DataFrame) -> pl.DataFrame:
    """The customer of ``MOVED`` was billed by the other entity until a year ago, with other tax."""
    here = (pl.col("customer_id") == MOVED[:4]) & (pl.col("issued_on") < date(2025, 1, 1))
    return history.with_columns(
        legal_entity=pl.when(here).then(pl.lit("IE")).otherwise("legal_entity"),
        tax_minor=pl.when(here).then(pl.col("tax_minor") // 2).otherwise("tax_minor"),
    )


def twin(inputs: ScoringInputs, draft: str, of: str) -> ScoringInputs:
    """The same invoice once more, two weeks later."""
    own = pl.col("invoice_id") == of
    head = inputs.history.invoices.filter(own).with_columns(
        invoice_id=pl.lit(draft), issued_on=pl.col("issued_on") + timedelta(days=31)
    )
    lines = inputs.history.lines.filter(own).with_columns(invoice_id=pl.lit(draft))
    other = pl.col("invoice_id") != draft
    heads = pl.concat([inputs.drafts.invoices.filter(other), head])
    every = pl.concat([inputs.drafts.lines.filter(other), lines])
    return replace(inputs, drafts=Books(heads, every))


@pytest.fixture(scope="module")
def kept(inputs: ScoringInputs) -> Company:
    return company_of(inputs, None)


@pytest.fixture(scope="module")
def stored(inputs: ScoringInputs, kept: Company) -> dict[str, str]:
    """What the table of profiles holds, by customer."""
    prepared = prepare(inputs, kept.everybody)
    owners = inputs.history.invoices.select("invoice_id", "customer_id")
    books = {
        "invoices": inputs.history.invoices,
        "invoice_lines": inputs.history.lines.join(owners, on="invoice_id"),
    }
    return dict(payloads(books, prepared.frames).iter_rows())


def later(inputs: ScoringInputs, days: int) -> ScoringInputs:
    """The same drafts, issued some days later."""
    heads = inputs.drafts.invoices.with_columns(pl.col("issued_on") + timedelta(days=days))
    return replace(inputs, drafts=Books(heads, inputs.drafts.lines))


def of_customers(inputs: ScoringInputs, names: list[str]) -> ScoringInputs:
    return own(inputs, pl.col("customer_id").is_in(names))


def beside(inputs: ScoringInputs, prepared: Prepared) -> ScoringInputs:
    return replace(inputs, history=Books(), remembered=prepared.remembered, owed=prepared.owed)


@pytest.mark.parametrize("days", [0, 17, 29])
def test_each_draft_alone_gets_the_same_scores(
    inputs: ScoringInputs, kept: Company, stored: dict[str, str], days: int
) -> None:
    said = set()
    for name in [f"C{number:03}" for number in range(10)]:
        one = later(of_customers(inputs, [name]), days)
        expected = score_scene(scene_of(one, kept.norms, kept.everybody), Models(), POLICY)
        prepared = prepared_of([stored[name]])
        scene = scene_prepared(beside(one, prepared), prepared, kept.norms, kept.everybody)
        assert scene is not None
        found = score_scene(scene, Models(), POLICY, DRAFT_DETECTORS)
        assert_frame_equal(expected.feature_rows, found.feature_rows, abs_tol=1e-9)
        assert_frame_equal(expected.decisions, found.decisions, abs_tol=1e-9)
        assert_frame_equal(expected.findings, found.findings, abs_tol=1e-9)
        assert_frame_equal(expected.scores, found.scores, abs_tol=1e-9)
        said |= set(found.findings["code"])
    assert {"total_above_history", "duplicate_invoice"} <= said or days


def test_drafts_of_several_customers_in_one_request(
    inputs: ScoringInputs, kept: Company, stored: dict[str, str]
) -> None:
    names = [f"C{number:03}" for number in range(3, 20)]
    some = of_customers(inputs, names)
    expected = score_scene(scene_of(some, kept.norms, kept.everybody), Models(), POLICY)
    prepared = prepared_of([stored[name] for name in names])
    scene = scene_prepared(beside(some, prepared), prepared, kept.norms, kept.everybody)
    assert scene is not None
    found = score_scene(scene, Models(), POLICY, DRAFT_DETECTORS)
    assert_frame_equal(expected.feature_rows, found.feature_rows, abs_tol=1e-9)
    assert_frame_equal(expected.decisions, found.decisions, abs_tol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        {"issued_on": pl.lit(date(2025, 12, 1))},
        {"issued_on": pl.lit(date(2027, 6, 20))},
        {"currency": pl.lit("EUR")},
        {"customer_id": pl.lit("C999")},
        {"invoice_id": pl.lit("C003-202511")},
    ],
    ids=["not after the latest", "too late", "new currency", "new", "known"],
)
def test_where_it_does_not_hold_the_books_are_asked(
    inputs: ScoringInputs, kept: Company, stored: dict[str, str], change: dict[str, pl.Expr]
) -> None:
    one = altered(of_customers(inputs, ["C003"]), WRONG, **change)
    prepared = prepared_of([stored["C003"]])
    assert scene_prepared(beside(one, prepared), prepared, kept.norms, kept.everybody) is None
