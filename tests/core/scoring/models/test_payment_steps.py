"""Which steps are learnt of an invoice: open at the start, seen to the end."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from prebill.core.scoring.features.payment import features, profile, receivables
from prebill.core.scoring.features.payment_history import EDGES
from prebill.core.scoring.models.payment_steps import STEP_COLUMNS, StepInputs, learnt_steps
from tests.core.scoring.payers import FIRST, books, invoice

DUE = date(2025, 6, 16)


def steps(settled: int | None, seen: int, terms: int = 14) -> list[tuple[int, float]]:
    """(last day of the step, settled in it) that is learnt of one invoice."""
    rows = pl.DataFrame(
        {
            "terms_days": [float(terms)],
            "due_on": [DUE],
            "settled_on": [None if settled is None else DUE + timedelta(days=settled)],
            "observed_until": [DUE + timedelta(days=seen)],
        },
        schema_overrides={"settled_on": pl.Date},
    )
    row, step, is_settled = learnt_steps(rows)
    assert row.tolist() == [0] * len(row)
    return [(EDGES[at], float(done)) for at, done in zip(step, is_settled, strict=True)]


def test_settled_invoice_ends_with_its_step() -> None:
    found = steps(settled=2, seen=60)
    assert found[0] == (-12, 0.0)
    assert found[-1] == (2, 1.0)
    assert sum(done for _, done in found) == 1


def test_open_invoice_is_censored_where_it_was_last_seen() -> None:
    assert steps(settled=None, seen=4)[-1] == (3, 0.0)
    assert steps(settled=None, seen=12)[-1] == (10, 0.0)  # the step to day 12 was not seen to end


def test_steps_before_the_issue_date_are_not_learnt() -> None:
    assert steps(settled=1, seen=60, terms=2)[0][0] == -2
    assert steps(settled=None, seen=-20, terms=14) == []


def test_rows_of_steps_place_the_day_in_the_calendar() -> None:
    given = books([invoice("A", "C", FIRST, due_on=date(2025, 4, 17))])  # Maundy Thursday
    known = receivables(given.invoices, given.payments, given.credit_notes)
    inputs = StepInputs(features(given.invoices, profile(known, given.invoices)))
    days = np.array([EDGES.index(day) for day in (0, 1, 5, 12)])
    rows = inputs.matrix(np.zeros(4, dtype=np.int64), days)

    def column(name: str) -> list[float]:
        return rows[:, STEP_COLUMNS.index(name)].tolist()

    assert column("step_end") == [0, 1, 5, 12]
    assert column("step_weekday")[:3] == [4, 5, 2]
    assert column("step_is_holiday")[:3] == [0, 1, 0]  # Good Friday
    assert column("step_follows_holiday")[:3] == [0, 0, 1]  # the Tuesday after Easter Monday
    assert column("step_bank_days")[:3] == [0, 0, 1]
    assert np.isnan(column("step_weekday")[3])  # several days have no weekday


@pytest.mark.parametrize("name", ["own_late_recent", "portfolio_late_rate"])
def test_what_tells_only_the_weeks_apart_is_left_to_the_binary_model(name: str) -> None:
    assert name not in STEP_COLUMNS
