"""Splits by time: tested after learnt, and only where the outcome is known whatever it is."""

from datetime import timedelta

import polars as pl
import pytest

from prebill.core.errors import InputError
from prebill.core.scoring.features.payment import receivables
from tests.core.scoring.payers import TODAY, payers
from training import split as splits


@pytest.fixture(scope="module")
def known() -> pl.DataFrame:
    given = payers(customers=10)
    return receivables(given.invoices, given.payments, given.credit_notes)


def test_tested_rows_come_after_what_is_learnt_and_are_due(known: pl.DataFrame) -> None:
    split = splits.latest(known, TODAY, 31)
    assert split.test_end_on - split.train_before == timedelta(days=31)
    rows = split.test_rows(known)
    assert rows.height > 0
    assert rows["issued_on"].min() >= split.train_before
    assert rows["due_on"].max() < TODAY


def test_open_invoices_past_due_are_tested_too(known: pl.DataFrame) -> None:
    unpaid = known.with_columns(settled_on=pl.lit(None, dtype=pl.Date))
    split = splits.latest(unpaid, TODAY, 31)
    assert split.test_rows(unpaid).height == split.test_rows(known).height


def test_short_history_is_refused_in_words(known: pl.DataFrame) -> None:
    short = known.filter(pl.col("issued_on") > TODAY - timedelta(days=40))
    with pytest.raises(InputError, match="import older invoices"):
        splits.latest(short, TODAY, 31)
