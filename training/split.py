"""Split by time and purge: learn from before a day, test on what was issued after a gap.

A training row's outcome is read up to the cut-off and no further (an invoice open then is a
censored row), and the gap lies between the cut-off and the first tested day: no outcome window of
a training row reaches into the test. The test ends where outcomes are known whatever they are, so
that slow payers are not missing from it. Never at random.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from prebill.core.errors import InputError

#: Days after due by which "late" has surely reached the books.
BOOKING_DAYS = 2


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Nothing of ``train_before`` or later is learnt; after the gap ``[start, end)`` is tested."""

    train_before: date
    test_end_on: date
    known_until: date
    gap_days: int = 0

    @property
    def test_start_on(self) -> date:
        """First tested day."""
        return self.train_before + timedelta(days=self.gap_days)

    def test_rows(self, receivables: pl.DataFrame) -> pl.DataFrame:
        """Invoices issued in the test period whose outcome is known whatever it is."""
        issued = pl.col("issued_on").is_between(self.test_start_on, self.test_end_on, closed="left")
        mature = pl.col("due_on") + timedelta(days=BOOKING_DAYS) <= self.known_until
        return receivables.filter(issued & mature, "is_labelled", pl.col("total_minor") > 0)


def latest(
    receivables: pl.DataFrame, known_until: date, test_days: int, gap_days: int = 0
) -> TimeSplit:
    """Test on the latest ``test_days`` days whose invoices are nearly all due.

    Raises
    ------
    InputError
        The history is not longer than gap and test period.
    """
    terms = (receivables["due_on"] - receivables["issued_on"]).dt.total_days()
    usual = int(terms.quantile(0.95) or 0)
    end_on = known_until - timedelta(days=max(usual, 0) + BOOKING_DAYS)
    first_on = receivables["issued_on"].min()
    cut_off = end_on - timedelta(days=test_days + gap_days)
    if not isinstance(first_on, date) or first_on >= cut_off:
        message = (
            f"the history spans fewer than {test_days + gap_days} days beyond the payment terms "
            f"({usual} days): import older invoices to train on"
        )
        raise InputError(message, test_days=test_days, terms_days=usual)
    return TimeSplit(cut_off, end_on, known_until, gap_days)
