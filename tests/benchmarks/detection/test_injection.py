"""The injector: faults are consistent, equally frequent, drawn from the seed; the rest is right."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.detection import noisy, smooth
from tests.benchmarks.detection.faults import AGAIN, FAULTS, Draft
from tests.benchmarks.detection.injection import Injected, inject
from tests.benchmarks.detection.series import Series

KINDS = {"noisy": noisy.make, "smooth": smooth.make}


@cache
def series(kind: str) -> Series:
    return KINDS[kind](1)


@cache
def injected(kind: str) -> Injected:
    return inject(series(kind), 1)


def sums(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.group_by("invoice_id").agg(
        line_minor=pl.col("amount_minor").sum(), line_tax_minor=pl.col("tax_minor").sum()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_invoice_adds_up(kind: str) -> None:
    one = injected(kind)
    rows = one.invoices.join(sums(one.lines), on="invoice_id", how="left")
    assert rows["subtotal_minor"].equals(rows["line_minor"], check_names=False)
    assert rows["tax_minor"].equals(rows["line_tax_minor"], check_names=False)
    assert (rows["subtotal_minor"] + rows["tax_minor"] == rows["total_minor"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_invoices_without_a_fault_stay_as_they_are(kind: str) -> None:
    one = injected(kind)
    wrong = pl.concat([one.truth["invoice_id"], one.truth["invoice_id"].str.strip_suffix(AGAIN)])
    is_right = ~pl.col("invoice_id").is_in(wrong.implode())
    before, after = (
        frame.filter(is_right).sort("invoice_id") for frame in (one.series.invoices, one.invoices)
    )
    assert before.equals(after)


@pytest.mark.parametrize("kind", KINDS)
def test_billed_quantity_is_what_the_delivered_events_sum_to(kind: str) -> None:
    one = injected(kind)
    lines = one.lines.filter(pl.col("product").is_in(list(one.series.meters)))
    billed = lines.unique(["invoice_id", "product", "quantity"]).join(
        one.invoices.filter(~pl.col("invoice_id").str.ends_with(AGAIN)), on="invoice_id"
    )
    day = pl.col("occurred_at").dt.date()
    measured = (
        billed.join(
            one.events, left_on=["customer_id", "product"], right_on=["customer_id", "meter"]
        )
        .filter(day >= pl.col("period_start_on"), day < pl.col("period_end_on"))
        .group_by("invoice_id", "product")
        .agg(measured=pl.col("quantity_right").sum())
    )
    both = billed.join(measured, on=["invoice_id", "product"], how="left")
    assert both.filter(pl.col("quantity") != pl.col("measured").fill_null(0)).is_empty()


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_faults_are_equally_frequent_and_matter(kind: str) -> None:
    truth = injected(kind).truth
    counts = truth["fault"].value_counts()
    assert set(FAULTS) == set(counts["fault"])
    assert counts["count"].max() - counts["count"].min() <= 1
    assert truth["invoice_id"].is_unique().all()
    assert (truth["error_minor"] > 0).all()


def test_the_seed_decides_everything() -> None:
    again = inject(noisy.make(1), 1)
    assert injected("noisy").truth.equals(again.truth)
    assert injected("noisy").events.equals(again.events)
    assert not injected("noisy").truth.equals(inject(series("noisy"), 2).truth)


def one_day_draft(seed: int) -> Draft:
    """An invoice over the one day on which its customer was new."""
    start_on = date(2026, 1, 5)
    hours = [datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (8, 20)]
    return Draft(
        head={"period_start_on": start_on, "period_end_on": start_on + timedelta(days=1)},
        lines=[{"product": "calls", "quantity": Decimal(1_000), "unit_price": Decimal("0.1")}],
        previous=[],
        events=pl.DataFrame({"meter": "calls", "occurred_at": hours, "quantity": [400, 600]}),
        meters={"calls": "calls"},
        tax_rates={},
        price_lists={},
        rng=np.random.default_rng(seed),
    )


def test_unit_error_of_a_one_day_period_is_on_the_whole_day() -> None:
    """A meter's new release can't come in the middle of one day."""
    for seed in range(20):
        draft = one_day_draft(seed)
        factor = float(np.random.default_rng(seed).choice([10, 100, 1000, 0.1, 0.001]))
        FAULTS["unit error"](draft)
        expected = [max(round(quantity * factor), 1) for quantity in (400, 600)]
        assert expected == draft.events["quantity"].to_list()
