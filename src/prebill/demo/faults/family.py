"""What a family of faults is: who can have it, and how it gets into the company's files."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.demo.agreements import Agreements

Frames = dict[str, pl.DataFrame]
Draws = npt.NDArray[np.float64]


class Family(StrEnum):
    """The ways in which an invoice goes wrong before it is written."""

    DUPLICATED_USAGE_BATCH = "duplicated_usage_batch"
    MISSING_DAYS = "missing_days"
    UNIT_ERROR = "unit_error"
    STALE_PRICE = "stale_price"
    AMENDMENT_NOT_CAPTURED = "amendment_not_captured"
    DISCOUNT_PAST_END = "discount_past_end"
    WRONG_TAX = "wrong_tax"
    DOUBLE_INVOICE = "double_invoice"
    NEVER_DRAFTED = "never_drafted"
    CURRENCY_MIXUP = "currency_mixup"
    STUCK_METER = "stuck_meter"
    SIBLING_USAGE = "sibling_usage"
    DOCUMENT_COUNTED_TWICE = "document_counted_twice"


#: No detector was written for these; they are planted on demand only and reported apart.
UNSEEN: Final = frozenset({Family.SIBLING_USAGE, Family.DOCUMENT_COUNTED_TWICE})


@dataclass(frozen=True, slots=True)
class Company:
    """The demo company as it truly is: ``frames`` are canonical, by the name of the contract."""

    traits: pl.DataFrame
    agreements: Agreements
    frames: Frames


@dataclass(frozen=True, slots=True)
class Victims:
    """Customers that get a fault; ``draws`` are their own random numbers in [0, 1).

    A customer's numbers don't depend on who else is chosen, so that a trial with many customers
    and the final set with few plant the same fault.
    """

    rows: pl.DataFrame
    draws: Draws

    def whole(self, column: int, low: int, high: int) -> pl.Series:
        """Return an integer of ``[low, high)`` for each victim."""
        return pl.Series(np.floor(low + self.draws[:, column] * (high - low)).astype(np.int64))

    def stretch(self, days: int) -> tuple[pl.Series, pl.Series]:
        """Return first day and length of a stretch of a month, from the first two draws.

        The length is log-uniform from one to all days, so that small faults are as frequent as
        large ones.
        """
        length = np.minimum(np.floor((days + 1) ** self.draws[:, 1]), days)
        first = np.floor(self.draws[:, 0] * (days - length + 1))
        return pl.Series(first.astype(np.int64)), pl.Series(length.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Fault:
    """A family and how it comes about.

    ``eligible`` returns the numbers of customers; ``plant`` returns the changed frames only.
    """

    family: Family
    eligible: Callable[[Company], pl.Series]
    plant: Callable[[Frames, Victims], Frames]
