"""The as-of rule, tested from the declarations: every feature, the day it is declared.

Rows dated later are deleted and no feature may change; nor may one change when a frame that it does
not declare as a source is emptied.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import CREDIT_NOTES, CUSTOMERS, DISPUTES
from prebill.core.schemas.internal import USAGE_DAYS
from prebill.core.scoring.announced import TERMS
from prebill.core.scoring.declared import READ_BY
from prebill.core.scoring.features import (
    billed_usage,
    invariants,
    line_mix,
    payment,
    treatment,
    twins,
    usage_shape,
    variance,
)
from prebill.core.scoring.features.declaration import DATED_BY
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models
from prebill.core.scoring.scene import FEATURE_ROW, FEATURES, TAILS
from prebill.core.scoring.scorer import score
from tests.core.scoring.company import books, company

CUT = date(2025, 11, 1)
DAY = timedelta(days=1)
#: Feature file → its columns; a new file is a new line here, or the last test fails.
FAMILIES = {
    "level": ("known",),
    "variance": (*variance.FEATURES,),
    "invariants": (*invariants.FEATURES,),
    "treatment": (*treatment.FEATURES,),
    "line_mix": (*line_mix.FEATURES,),
    "twins": (*twins.FEATURES,),
    "billed_usage": (*billed_usage.FEATURES,),
    "usage_shape": tuple(f"usage_{name}" for name in usage_shape.FEATURES),
    "tails": (*TAILS,),
    "payment": (*payment.DECLARED,),
}
#: Null in the gate: they need agreements, of which the pipeline has one version a run.
NEEDS_AGREEMENTS = {"tail_conformance", "tail_entitlement", "tail_never_drafted"}
#: Frame → how a company looks that has none of it.
EMPTIED: dict[str, Callable[[ScoringInputs], ScoringInputs]] = {
    "invoice_lines": lambda given: replace(
        given, history=Books(given.history.invoices), drafts=Books(given.drafts.invoices)
    ),
    "payments": lambda given: replace(given, payments=given.payments.clear()),
    "credit_notes": lambda given: replace(given, credit_notes=CREDIT_NOTES.empty()),
    "disputes": lambda given: replace(given, disputes=DISPUTES.empty()),
    "usage_events": lambda given: replace(given, usage_days=USAGE_DAYS.empty()),
    "customers": lambda given: replace(given, customers=CUSTOMERS.empty()),
    "contract_terms": lambda given: replace(given, terms=TERMS.empty()),
}


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@cache
def everything() -> ScoringInputs:
    """Three batches of drafts at once, and rows of every frame before and after the first."""
    made = company(months=14, usage_months=6)
    heads = pl.concat([made.history.invoices, made.drafts.invoices])
    lines = _eventful(pl.concat([made.history.lines, made.drafts.lines]))
    heads = heads.with_columns(
        tax_minor=pl.when(pl.col("invoice_id").str.contains("^C00[12]-2025(10|11)"))
        .then(0)
        .otherwise("tax_minor")
    )
    is_draft = pl.col("issued_on") >= CUT
    is_new = (pl.col("customer_id") == "C039") & ~is_draft
    heads = heads.filter(~is_new)
    return replace(
        made,
        history=books(heads.filter(~is_draft), lines),
        drafts=books(heads.filter(is_draft), lines),
        credit_notes=pl.DataFrame(
            [
                ("K1", "C005-202508", CUT - 3 * DAY, 100, "amount"),
                ("K2", "C006-202508", CUT + 3 * DAY, 100, "amount"),
                ("K3", "C007-202507", CUT, 9_000, "tax"),
            ],
            schema=CREDIT_NOTES.schema,
            orient="row",
        ),
        disputes=pl.DataFrame(
            [
                ("D1", "C003-202508", CUT - 9 * DAY, CUT + 5 * DAY, None, None),
                ("D2", "C004-202508", CUT + 2 * DAY, None, None, None),
            ],
            schema=DISPUTES.schema,
            orient="row",
        ),
        terms=pl.DataFrame(
            [_term(n, since) for n in range(8) for since in (date(2024, 1, 1), CUT - 20 * DAY)]
            + [_term(n, CUT - 10 * DAY, recorded_on=CUT + 9 * DAY) for n in range(8)],
            schema=TERMS.schema,
        ),
    )


def _eventful(lines: pl.DataFrame) -> pl.DataFrame:
    """Rates, tax codes and products that change in October and again later."""
    late = pl.col("invoice_id").str.slice(5).is_in(["202510", "202511", "202512"])
    again = pl.col("invoice_id").str.slice(5) > "202510"
    base = pl.col("product") == "base"
    number = pl.col("invoice_id").str.slice(1, 3).cast(pl.Int64)
    factor = pl.when(again).then(3).otherwise(2)
    changed = base & late & (number < 6)
    lines = lines.with_columns(
        unit_price=pl.when(changed).then(pl.col("unit_price") * factor).otherwise("unit_price"),
        amount_minor=pl.when(changed)
        .then(pl.col("amount_minor") * factor)
        .otherwise("amount_minor"),
        tax_code=pl.when(late & (number == 9)).then(pl.lit("GB-Z-0")).otherwise("tax_code"),
    )
    twice = lines.filter(late & base & number.is_in([11, 12])).with_columns(line_id=pl.lit("9"))
    return pl.concat([lines, twice])


def _term(number: int, since: date, recorded_on: date | None = None) -> dict:
    return {
        "customer_id": f"C{number:03}",
        "contract_id": f"K{number}",
        "plan_id": "team",
        "price_book_id": f"{since:%Y%m}",
        "quantity": Decimal(1),
        "discount_percent": Decimal(0),
        "discount_ends_on": None,
        "effective_from_on": since,
        "effective_to_on": None,
        "recorded_at": at(recorded_on or since),
    }


def truncated(given: ScoringInputs) -> ScoringInputs:
    """Without what is dated later than the first batch, in every frame that has a date."""
    first = given.drafts.invoices.filter(pl.col("issued_on") == CUT)
    is_told = pl.col("recorded_at").dt.date() <= CUT
    return replace(
        given,
        history=books(
            given.history.invoices.filter(pl.col("issued_on") < CUT), given.history.lines
        ),
        drafts=books(first, given.drafts.lines),
        payments=given.payments.filter(pl.col("paid_on") < CUT),
        credit_notes=given.credit_notes.filter(pl.col("issued_on") < CUT),
        disputes=given.disputes.filter(pl.col("opened_on") < CUT).with_columns(
            closed_on=pl.when(pl.col("closed_on") < CUT).then("closed_on")
        ),
        usage_days=given.usage_days.filter(pl.col("used_on") < CUT),
        terms=given.terms.filter(is_told),
    )


def seen(given: ScoringInputs) -> pl.DataFrame:
    """Every feature of the first batch."""
    first = given.drafts.invoices.filter(pl.col("issued_on") == CUT)
    rows = score(given, Models(), Policy.default()).feature_rows
    heads = pl.concat([given.history.invoices, given.drafts.invoices])
    known = payment.receivables(heads, given.payments, given.credit_notes)
    paid = payment.features(first, payment.profile(known, first, given.disputes))
    own = first.select("invoice_id").sort("invoice_id")
    for part in (rows, paid):
        own = own.join(part, on="invoice_id", how="left", maintain_order="left")
    return own


@cache
def whole() -> pl.DataFrame:
    return seen(everything())


def changed(one: pl.DataFrame, other: pl.DataFrame) -> set[str]:
    """Features that differ in any row."""
    found = set()
    for name in one.columns:
        try:
            assert_frame_equal(one.select(name), other.select(name), abs_tol=1e-9)
        except AssertionError:
            found.add(name)
    return found


@cache
def changed_by_later_rows() -> set[str]:
    return changed(whole(), seen(truncated(everything())))


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_dated_later_change_no_feature(family: str) -> None:
    assert set() == changed_by_later_rows() & {*FAMILIES[family]}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_test_company_has_every_feature(family: str) -> None:
    names = [name for name in FAMILIES[family] if name not in NEEDS_AGREEMENTS]
    silent = [name for name in names if whole()[name].null_count() == whole().height]
    assert [] == silent


@pytest.mark.parametrize("frame", EMPTIED)
def test_a_frame_that_is_no_declared_source_changes_no_feature(frame: str) -> None:
    moved = changed(whole(), seen(EMPTIED[frame](everything())))
    declared = {**FEATURE_ROW, **payment.DECLARED}
    reads = {
        name
        for name, one in declared.items()
        if frame in {source.split(".")[0] for source in one.sources}
    }
    assert moved, "nothing reads it: the company lacks what would show a leak"
    assert set() == moved - reads


def test_a_family_that_looks_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = variance.profile

    def ahead(history: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
        return real(history, keys.with_columns(pl.col("as_of_on") + 45 * DAY))

    expected = changed_by_later_rows()
    monkeypatch.setattr(variance, "profile", ahead)
    found = changed(seen(everything()), seen(truncated(everything())))
    assert set() == expected
    assert {"total_ratio", "total_step", "gap_ratio", "tail_level"} <= found


def test_every_feature_file_is_tested_and_every_dated_frame_is_cut() -> None:
    tested = {name for names in FAMILIES.values() for name in names}
    read = {name for features in READ_BY.values() for name in features}
    assert read - tested <= {"anomaly_score"}
    assert {*FEATURES, *TAILS, *payment.DECLARED} == tested
    # Entitlements are read from agreements, which a run freezes.
    assert {*EMPTIED} >= {*DATED_BY} - {"invoices", "entitlements"}
