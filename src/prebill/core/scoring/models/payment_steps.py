"""Rows of the hazard model: one an invoice and step of days after due.

A step is learnt where the invoice was open at its start and seen to its end. Beside the invoice's
own features a row has those of the step: its day in the calendar and the own habits then.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.scoring.features.payment import FEATURES, HAZARDS, SCALARS
from prebill.core.scoring.features.payment_calendar import bank_days
from prebill.core.scoring.features.payment_history import EDGES, STEPS
from prebill.core.scoring.models.payment_distribution import EARLIEST_DAYS, ENDS

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Delays that a step's day is compared with.
_RELATIVE: Final = ("delay_latest", "delay_fast", "delay_mean", "weekday_delay", "amount_delay")
#: What the hazard reads of the invoice. Not its own P(late), which the own hazards say better, and
#: not everyone's rates, by which trees only tell the weeks apart (Brier .1430 against .1436).
_INVOICE: Final = tuple(name for name in FEATURES if not name.startswith(("own_late", "portfolio")))
STEP_COLUMNS: Final = (
    *_INVOICE,
    *("step_end", "step_weekday", "step_age", "step_weekday_share"),
    *(f"step_{name}" for name in HAZARDS),
    *(f"step_less_{name}" for name in _RELATIVE),
    *("step_is_holiday", "step_follows_holiday", "step_bank_days"),
)
#: The hazard that the model corrects: little data leaves it standing.
_START: Final = tuple(HAZARDS).index("hazard_alike")

_DAYS: Final = np.array(EDGES, dtype=np.int64)
_IS_DAY: Final = np.diff(ENDS, prepend=EARLIEST_DAYS) == 1


def _at(name: str) -> int:
    return SCALARS.index(name)


class StepInputs:
    """Features of invoices as arrays, from which the rows of steps are made."""

    def __init__(self, features: pl.DataFrame) -> None:
        """Take ``SCALARS`` and ``HAZARDS`` of :mod:`prebill.core.scoring.features.payment`."""
        # Column by column: `DataFrame.to_numpy` hands even one row to a pool of threads.
        scalars = np.column_stack([features[name].to_numpy() for name in SCALARS])
        self.figures: Matrix = scalars[:, : len(FEATURES)].astype(np.float32)
        self._invoice = self.figures[:, [_at(name) for name in _INVOICE]]
        self.terms: Ints = scalars[:, _at("terms_days")].astype(np.int64)
        self.hazards: Floats = np.stack([features[name].to_numpy() for name in HAZARDS], axis=2)
        self._shares = scalars[:, _at("settled_weekday_1") : _at("settled_weekday_7") + 1]
        self._relative = scalars[:, [_at(name) for name in _RELATIVE]]
        self._due: Ints = scalars[:, _at("due_day")].astype(np.int64)
        self._calendar: Ints = scalars[:, _at("bank_calendar")].astype(np.int64)

    def start(self, row: Ints, step: Ints) -> Floats:
        """Log odds of the own hazard, which the model corrects."""
        return log_odds(self.hazards[row, step, _START], 1e-4)

    @property
    def own(self) -> Floats:
        """The own hazard by step."""
        return self.hazards[:, :, _START]

    @property
    def late_start(self) -> Floats:
        """Log odds of the own P(late), which the binary model corrects."""
        return log_odds(self.figures[:, _at("own_late_alike")].astype(np.float64), 0.01)

    def matrix(self, row: Ints, step: Ints) -> Matrix:
        """``STEP_COLUMNS`` of invoices (``row``) in steps; several days have no weekday."""
        end, is_day, due = _DAYS[step], _IS_DAY[step], self._due[row]
        day, calendar = due + end, self._calendar[row]
        weekday = (day + 3) % 7
        bank = bank_days()
        own = len(_INVOICE)
        hazards = own + 4
        relative = hazards + len(HAZARDS)
        filled = np.empty((row.size, len(STEP_COLUMNS)), dtype=np.float32)
        filled[:, :own] = self._invoice[row]
        filled[:, own] = end
        filled[:, own + 1] = weekday + 1
        filled[:, own + 2] = end + self.terms[row]
        filled[:, own + 3] = self._shares[row, weekday]
        filled[:, hazards:relative] = self.hazards[row, step]
        filled[:, relative:-3] = end[:, None] - self._relative[row]
        filled[:, -3] = bank.is_holiday(calendar, day)
        filled[:, -2] = bank.is_holiday(calendar, day - 1)
        filled[:, -1] = bank.between(calendar, due, day)
        for column in (own + 1, own + 3, -3, -2, -1):
            filled[~is_day, column] = np.nan
        return filled


def log_odds(share: Floats, least: float) -> Floats:
    """Logarithm of the odds, of shares kept off 0 and 1."""
    kept = np.clip(share, least, 1.0 - least)
    return np.log(kept / (1.0 - kept))


def learnt_steps(rows: pl.DataFrame) -> tuple[Ints, Ints, Matrix]:
    """Invoice, step and whether it was settled in it, of every step that is learnt.

    Parameters
    ----------
    rows : pl.DataFrame
        ``terms_days, due_on, settled_on`` (null: open) and ``observed_until``, the first day that
        was not seen.
    """
    terms = rows["terms_days"].to_numpy()
    seen_days = (rows["observed_until"] - rows["due_on"]).dt.total_days().to_numpy() - 1
    settled = rows["settled_on"].is_not_null().to_numpy()
    delay = (rows["settled_on"] - rows["due_on"]).dt.total_days().fill_null(0).to_numpy()
    first = np.searchsorted(ENDS, -terms)
    event = np.searchsorted(ENDS, np.maximum(delay, -terms))
    seen = np.where(settled, event + 1, np.searchsorted(ENDS, seen_days, side="right"))
    count = np.maximum(np.minimum(seen, STEPS) - first, 0)
    row = np.repeat(np.arange(rows.height), count)
    step = np.arange(row.size) - np.repeat(np.cumsum(count) - count - first, count)
    return row, step, (settled[row] & (step == event[row])).astype(np.float32)
