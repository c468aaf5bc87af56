"""A customer's own past, weighted by how much each invoice resembles the draft.

One formula, several weights: recent invoices, those due on the same weekday, of a similar amount,
of both. Each gives the hazard of every step of days after due (an unpaid invoice counts as open so
far: Kaplan and Meier's estimate), a late rate and a mean delay, pulled to the next wider one, the
widest to the portfolio's.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from prebill.core.scoring.features.payment_history import (
    DELAY_CEILING,
    DELAY_FLOOR,
    OPEN,
    STEPS,
    Days,
    Floats,
    hazards,
    last_steps,
    ranks,
    summed,
)
from prebill.core.scoring.features.payment_profile import Past

Flags = npt.NDArray[np.bool_]

#: Half-lives in invoices, latest due first; those of a cell count only the invoices in it.
LATEST_HALF_LIFE: Final = 2
FAST_HALF_LIFE: Final = 8
RATE_HALF_LIFE: Final = 40
HALF_LIFE: Final = 100
CELL_HALF_LIFE: Final = 60
ALIKE_HALF_LIFE: Final = 120
#: Older invoices than these count only where they resemble the draft.
RECENT_INVOICES: Final = 200
#: Width of "a similar amount" in logarithms: a fifth more weighs two fifths less.
AMOUNT_WIDTH: Final = 0.2
#: Widths beyond which an amount is another one.
AMOUNT_REACH: Final = 3.0
#: Pseudo-invoices with which a rate or hazard is pulled to the wider one.
CUSTOMER_WEIGHT: Final = 4.0
CELL_WEIGHT: Final = 3.0
WEEKDAY_HAZARD_WEIGHT: Final = 2.0
LATEST_WEIGHT: Final = 0.5
#: Overdue amounts are compared with what was billed by this many of the latest invoices.
BILLED_INVOICES: Final = 30
WORKDAYS: Final = 5
MOST_KNOWN: Final = 60.0


@dataclass(frozen=True, slots=True)
class Draft:
    """What the own past is compared with: one entry a draft."""

    issued: Days
    weekday: Days
    log_amount: Floats


@dataclass(frozen=True, slots=True)
class OwnPast:
    """Past invoices of all drafts, one entry a pair; ``row``: the draft, ``rank``: 0 the latest."""

    size: int
    row: Days
    rank: Days
    due: Days
    settled: Days
    weekday: Days
    log_amount: Floats

    @classmethod
    def of(cls, past: Past, places: Days) -> "OwnPast":
        """Take the past of each draft's profile row."""
        count = past.count[places]
        rank = ranks(count)
        at = np.repeat(past.start[places], count) + rank
        return cls(
            size=len(places),
            row=np.repeat(np.arange(len(places)), count),
            rank=rank,
            due=past.due[at],
            settled=past.settled[at],
            weekday=past.weekday[at],
            log_amount=past.log_amount[at],
        )

    def take(self, is_taken: Flags) -> "OwnPast":
        """Some of the pairs, ranked anew."""
        row = self.row[is_taken]
        return OwnPast(
            size=self.size,
            row=row,
            rank=ranks(np.bincount(row, minlength=self.size)),
            due=self.due[is_taken],
            settled=self.settled[is_taken],
            weekday=self.weekday[is_taken],
            log_amount=self.log_amount[is_taken],
        )


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """Named figures, and the hazards of each weight by step."""

    figures: dict[str, Floats]
    recent: Floats
    weekday: Floats
    amount: Floats
    alike: Floats


def own_figures(
    past: OwnPast, draft: Draft, all_hazards: Floats, all_late_rate: Floats
) -> OwnFigures:
    """Weigh the own past for each draft.

    Parameters
    ----------
    past : OwnPast
        Only what was known on the morning of the draft.
    draft : Draft
        Issue day, weekday due as a bank sees it, amount.
    all_hazards, all_late_rate : array
        Everyone's, one row a draft.
    """
    gap = (past.log_amount - draft.log_amount[past.row]) / AMOUNT_WIDTH
    recent = _Told.of(past.take(past.rank < RECENT_INVOICES), draft)
    weekday = _Told.of(past.take(past.weekday == draft.weekday[past.row]), draft)
    amount = _Told.of(past.take(np.abs(gap) < AMOUNT_REACH), draft)
    on_weekday = weekday.recency(CELL_HALF_LIFE)
    of_amount = amount.recency(CELL_HALF_LIFE) * amount.likeness()
    alike = weekday.recency(ALIKE_HALF_LIFE) * weekday.likeness()
    rated, fast = recent.recency(RATE_HALF_LIFE), recent.recency(FAST_HALF_LIFE)

    recent_hazards = recent.hazards(recent.recency(HALF_LIFE), all_hazards, CELL_WEIGHT)
    weekday_hazards = weekday.hazards(on_weekday, recent_hazards, WEEKDAY_HAZARD_WEIGHT)
    late_rate = recent.mean(recent.late, rated, CUSTOMER_WEIGHT, all_late_rate)
    delay = recent.mean(recent.delay, rated, CUSTOMER_WEIGHT, np.zeros(past.size))
    weekday_late_rate = weekday.mean(weekday.late, on_weekday, CELL_WEIGHT, late_rate)
    latest = recent.recency(LATEST_HALF_LIFE)
    figures = {
        "late_rate": late_rate,
        "late_rate_fast": recent.mean(recent.late, fast, CELL_WEIGHT, late_rate),
        "weekday_late_rate": weekday_late_rate,
        "amount_late_rate": amount.mean(amount.late, of_amount, CELL_WEIGHT, late_rate),
        "alike_late_rate": weekday.mean(weekday.late, alike, CELL_WEIGHT, weekday_late_rate),
        "delay_mean": delay,
        "delay_latest": recent.mean(recent.delay, latest, LATEST_WEIGHT, delay),
        "delay_fast": recent.mean(recent.delay, fast, CELL_WEIGHT, delay),
        "weekday_delay": weekday.mean(weekday.delay, on_weekday, CELL_WEIGHT, delay),
        "amount_delay": amount.mean(amount.delay, of_amount, CELL_WEIGHT, delay),
        "weekday_count": weekday.total(on_weekday),
        "amount_count": amount.total(of_amount),
        **recent.spread(rated),
        **recent.overdue(),
        **recent.habits(rated),
    }
    return OwnFigures(
        figures=figures,
        recent=recent_hazards,
        weekday=weekday_hazards,
        amount=amount.hazards(of_amount, recent_hazards, CELL_WEIGHT),
        alike=weekday.hazards(alike, weekday_hazards, CELL_WEIGHT),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """Pairs with what each past invoice tells: delay so far, late or not, step, open or not."""

    past: OwnPast
    draft: Draft
    is_settled: Flags
    age: Days
    delay: Floats
    late: Floats
    exit_cell: Days

    @classmethod
    def of(cls, past: OwnPast, draft: Draft) -> "_Told":
        is_settled = past.settled < OPEN
        age = draft.issued[past.row] - 1 - past.due
        delay = np.clip(
            np.where(is_settled, past.settled - past.due, age), DELAY_FLOOR, DELAY_CEILING
        )
        return cls(
            past=past,
            draft=draft,
            is_settled=is_settled,
            age=age,
            delay=delay.astype(np.float64),
            late=(~is_settled | (delay > 0)).astype(np.float64),
            exit_cell=past.row * (STEPS + 1) + last_steps(delay, is_settled),
        )

    def recency(self, half_life: int) -> Floats:
        """Weight of each pair by its rank."""
        ranked = 0.5 ** (np.arange(int(self.past.rank.max(initial=0)) + 1) / half_life)
        found: Floats = ranked[self.past.rank]
        return found

    def likeness(self) -> Floats:
        """Weight of each pair by how near its amount is to the draft's."""
        gap = (self.past.log_amount - self.draft.log_amount[self.past.row]) / AMOUNT_WIDTH
        return np.exp(-0.5 * gap * gap)

    def total(self, value: Floats) -> Floats:
        """Sum by draft."""
        return summed(self.past.row, value, self.past.size)

    def mean(self, value: Floats, weight: Floats, pull: float, towards: Floats) -> Floats:
        """Weighted mean by draft, pulled ``towards`` another with ``pull`` invoices."""
        return (self.total(weight * value) + pull * towards) / (self.total(weight) + pull)

    def hazards(self, weight: Floats, towards: Floats, pull: float) -> Floats:
        """Hazard by step and draft, pulled ``towards`` another."""
        shape = (self.past.size, STEPS + 1)
        cells = shape[0] * shape[1]
        settled = summed(self.exit_cell, weight * self.is_settled, cells).reshape(shape)
        exits = summed(self.exit_cell, weight, cells).reshape(shape)
        return hazards(settled, exits, towards, pull)

    def spread(self, weight: Floats) -> dict[str, Floats]:
        """How many are known, how much delays differ, how the amount compares."""
        known = self.total(weight)
        some = np.where(known > 0, known, np.nan)
        mean = self.total(weight * self.delay) / some
        variance = self.total(weight * self.delay * self.delay) / some - mean * mean
        amount = self.total(weight * self.past.log_amount) / some
        return {
            "known_count": np.minimum(self._count(self.past.row), MOST_KNOWN),
            "delay_deviation": np.sqrt(np.maximum(variance, 0.0)),
            "relative_amount": self.draft.log_amount - amount,
        }

    def overdue(self) -> dict[str, Floats]:
        """What is open past its due date, in number, share of the amount and age."""
        is_open = ~self.is_settled
        row, age = self.past.row[is_open], self.age[is_open].astype(np.float64)
        amount = np.exp(self.past.log_amount)
        billed = self.total(amount * (self.past.rank < BILLED_INVOICES))
        count = self._count(row)
        some = np.where(count > 0, count, np.nan)
        newest = np.full(self.past.size, np.inf)
        np.minimum.at(newest, row, age)
        return {
            "overdue_count": count,
            "overdue_share": self.total(amount * is_open) / np.maximum(billed, 1.0),
            "overdue_age": np.bincount(row, age, self.past.size) / some,
            "overdue_newest_age": _finite(newest),
        }

    def habits(self, weight: Floats) -> dict[str, Floats]:
        """Days since the last payment and the newest outcome; share of payments by weekday."""
        paid = self.is_settled
        row, day, size = self.past.row[paid], self.past.settled[paid], self.past.size
        last, newest = np.full(size, -np.inf), np.full(size, -np.inf)
        np.maximum.at(last, row, day.astype(np.float64))
        np.maximum.at(newest, self.past.row, self.past.due.astype(np.float64))
        shares = summed(row * 7 + (day + 3) % 7, weight[paid], size * 7).reshape(size, 7)
        shares[:, :WORKDAYS] += CUSTOMER_WEIGHT / WORKDAYS
        shares /= shares.sum(axis=1, keepdims=True)
        return {
            "days_since_settled": _finite(self.draft.issued - last),
            "days_since_due": _finite(self.draft.issued - newest),
            **{f"settled_weekday_{place + 1}": shares[:, place] for place in range(7)},
        }

    def _count(self, row: Days) -> Floats:
        return np.bincount(row, minlength=self.past.size).astype(np.float64)


def _finite(days: Floats) -> Floats:
    return np.where(np.isfinite(days), days, np.nan)
