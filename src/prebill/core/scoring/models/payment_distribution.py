"""When invoices will be settled, as one distribution: every figure is read from it.

So P(late), P(more than n days), percentiles and the expected day cannot contradict each other.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from prebill.core.scoring.features.payment_history import EDGES, STEPS

Floats = npt.NDArray[np.float64]

#: Steps that end by the due date: settled in one of them is "on time".
ON_TIME_STEPS: Final = EDGES.index(0) + 1
#: P(never paid | open 90 days after due), until write-offs teach it: a stated prior.
NEVER_SHARE: Final = 0.5
#: Of what is still to be settled after the last step, half is within so many days more.
TAIL_HALF_LIFE: Final = 30.0
#: A percentile that falls among the never settled is shown as this.
LATEST_DAYS: Final = 365.0
EARLIEST_DAYS: Final = -90.0

STARTS: Final = np.array([EARLIEST_DAYS, *EDGES[:-1]])
ENDS: Final = np.array(EDGES, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class PaymentDistribution:
    """Days after due on which each invoice is settled, one row an invoice.

    Attributes
    ----------
    open_shares : array (rows, STEPS)
        P(still open at the end of the step).
    terms_days : array (rows,)
        Due date less issue date: nothing is settled before it is issued.
    """

    open_shares: Floats
    terms_days: Floats

    @property
    def late(self) -> Floats:
        """P(settled after the due date, or never)."""
        return self.open_shares[:, ON_TIME_STEPS - 1]

    @property
    def never(self) -> Floats:
        """P(never settled)."""
        return self.open_shares[:, -1] * NEVER_SHARE

    def later_than(self, days: float | Floats) -> Floats:
        """P(open more than so many days after due); inside a step of several days a line.

        Parameters
        ----------
        days : float, or array (rows,)
            One number of days for all rows, or one each; negative: before due.
        """
        at = np.broadcast_to(np.asarray(days, dtype=np.float64), self.terms_days.shape)
        step = np.minimum(np.searchsorted(ENDS, at), STEPS - 1)
        row = np.arange(at.size)
        start, after = self._start(step), self.open_shares[row, step]
        before = np.where(step > 0, self.open_shares[row, np.maximum(step - 1, 0)], 1.0)
        part = np.clip((at - start) / (ENDS[step] - start), 0.0, 1.0)
        decay = 0.5 ** (np.maximum(at - ENDS[-1], 0.0) / TAIL_HALF_LIFE)
        tail = NEVER_SHARE + (1.0 - NEVER_SHARE) * decay
        return np.where(at > ENDS[-1], after * tail, before + part * (after - before))

    def percentile(self, level: float) -> Floats:
        """First whole day after due by which ``level`` is settled; the median for 0.5.

        The median is the day that is wrong by the fewest days on average.
        """
        settled = 1.0 - self.open_shares
        step = (settled < level).sum(axis=1)
        within = np.minimum(step, STEPS - 1)
        row = np.arange(len(settled))
        before = np.where(within > 0, settled[row, np.maximum(within - 1, 0)], 0.0)
        start = self._start(within)
        part = np.clip((level - before) / np.maximum(settled[row, within] - before, 1e-12), 0, 1)
        day = _whole(start + part * (ENDS[within] - start))
        return np.where(step == STEPS, self._tail_day(level), day)

    def expected_days(self) -> Floats:
        """Mean days after due, given that the invoice is settled at all."""
        settled = -np.diff(self.open_shares, axis=1, prepend=1.0)
        starts = np.maximum(STARTS, np.minimum(-self.terms_days[:, None] - 1.0, ENDS - 1.0))
        middle = (starts + 1.0 + ENDS) / 2.0
        tail = ENDS[-1] + TAIL_HALF_LIFE / np.log(2.0)
        later = self.open_shares[:, -1] - self.never
        whole = np.maximum(settled.sum(axis=1) + later, 1e-12)
        found: Floats = ((settled * middle).sum(axis=1) + later * tail) / whole
        return found

    def scaled(self, late: Floats) -> "PaymentDistribution":
        """The same with another P(late), each side of the due date in itself as it was."""
        before, target = self.late[:, None], late[:, None]
        early = 1.0 - (1.0 - self.open_shares) * (1.0 - target) / np.maximum(1.0 - before, 1e-12)
        after = self.open_shares * target / np.maximum(before, 1e-12)
        is_early = np.arange(STEPS) < ON_TIME_STEPS
        return PaymentDistribution(np.where(is_early, early, after), self.terms_days)

    def _start(self, step: npt.NDArray[np.int64]) -> Floats:
        """Last day before each row's step; the first possible one begins with the issue date."""
        found: Floats = np.maximum(
            STARTS[step], np.minimum(-self.terms_days - 1.0, ENDS[step] - 1.0)
        )
        return found

    def _tail_day(self, level: float) -> Floats:
        """Day after the last step by which ``level`` is settled."""
        beyond = (1.0 - level) / np.maximum(self.open_shares[:, -1], 1e-12) - NEVER_SHARE
        share = np.clip(beyond / (1.0 - NEVER_SHARE), 1e-12, 1.0)
        return np.minimum(_whole(ENDS[-1] - TAIL_HALF_LIFE * np.log2(share)), LATEST_DAYS)


def _whole(day: Floats) -> Floats:
    """The first whole day; rounding errors make no day longer."""
    return np.ceil(np.round(day, 9))
