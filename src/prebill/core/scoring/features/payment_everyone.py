"""What is ordinary among everyone's payments on a morning: late rates, hazards of being settled.

A customer without a past is judged by it, and the others' figures are pulled to it. A run learns it
once (:mod:`prebill.core.scoring.norms`), so that it does not depend on how the run is cut.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from prebill.core.scoring.features.payment_history import (
    DELAY_CEILING,
    DELAY_FLOOR,
    PRIOR_LATE_RATE,
    STEPS,
    WEEKDAYS,
    Days,
    Floats,
    hazards,
    last_steps,
    prior_hazards,
    summed,
)

#: The latest invoices due that are looked back on.
PORTFOLIO_INVOICES: Final = 20_000
#: Half-lives, in invoices, of everyone's recent late rate and distribution of delays.
RECENT_HALF_LIFE: Final = 1_000
PORTFOLIO_HALF_LIFE: Final = 3_000
#: Pseudo-invoices with which everyone's figures are pulled to the plain prior's.
PRIOR_WEIGHT: Final = 10.0
HAZARD_WEIGHT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Everyone:
    """Everyone's habits, one row a morning.

    ``late_rate`` and ``recent_late_rate``: share late; ``weekday_late_rates``: by weekday due, one
    column a weekday; ``hazards``: one column a step.
    """

    late_rate: Floats
    recent_late_rate: Floats
    weekday_late_rates: Floats
    hazards: Floats

    def take(self, mornings: Days) -> "Everyone":
        """Rows by number."""
        return Everyone(*(getattr(self, one.name)[mornings] for one in fields(self)))

    def to_lists(self) -> dict[str, list[object]]:
        """Plain lists to store."""
        return {one.name: getattr(self, one.name).tolist() for one in fields(self)}

    @classmethod
    def from_lists(cls, stored: dict[str, list[object]]) -> "Everyone":
        """Read what :meth:`to_lists` gave."""
        return cls(**{name: np.array(values, dtype=np.float64) for name, values in stored.items()})


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Invoices that are due, one entry each: what the figures are counted from."""

    counts_on: Days
    due: Days
    settled: Days
    weekday: Days


def everyone_of(outcomes: Outcomes, mornings: Days) -> Everyone:
    """Count everyone's habits as known on each morning.

    Parameters
    ----------
    outcomes : Outcomes
        Of all customers.
    mornings : array of days since 1970
        What is dated then or later is not read.
    """
    order = np.argsort(outcomes.counts_on, kind="stable")
    counts_on = outcomes.counts_on[order]
    rows = []
    for morning in mornings:
        end = int(np.searchsorted(counts_on, morning))
        rows.append(_row(outcomes, order[max(end - PORTFOLIO_INVOICES, 0) : end], int(morning)))
    figures = np.array(rows).reshape(len(mornings), -1)
    late_rate, recent, weekdays, steps = np.split(figures, (1, 2, 2 + WEEKDAYS), axis=1)
    return Everyone(late_rate[:, 0], recent[:, 0], weekdays, steps)


def _row(outcomes: Outcomes, taken: Days, morning: int) -> Floats:
    """Late rate, recent late rate, late rate by weekday due, hazards of the taken invoices."""
    due, settled = outcomes.due[taken], outcomes.settled[taken]
    is_settled = settled < morning
    delay = np.clip(
        np.where(is_settled, settled - due, morning - 1 - due), DELAY_FLOOR, DELAY_CEILING
    )
    late = (~is_settled | (delay > 0)).astype(np.float64)
    rank = np.arange(taken.size)[::-1]  # 0 is the latest
    rate = (late.sum() + PRIOR_WEIGHT * PRIOR_LATE_RATE) / (late.size + PRIOR_WEIGHT)
    recent = 0.5 ** (rank / RECENT_HALF_LIFE)
    weight = 0.5 ** (rank / PORTFOLIO_HALF_LIFE)
    step = last_steps(delay, is_settled)
    weekday = outcomes.weekday[taken] - 1
    by_weekday = summed(weekday, late, WEEKDAYS) + PRIOR_WEIGHT * rate
    settled_weight = summed(step, weight * is_settled, STEPS + 1)[None, :]
    exits = summed(step, weight, STEPS + 1)[None, :]
    return np.concatenate(
        [
            [rate, (late @ recent + PRIOR_WEIGHT * rate) / (recent.sum() + PRIOR_WEIGHT)],
            by_weekday / (np.bincount(weekday, minlength=WEEKDAYS) + PRIOR_WEIGHT),
            hazards(settled_weight, exits, prior_hazards()[None, :], HAZARD_WEIGHT)[0],
        ]
    )
