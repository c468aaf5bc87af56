"""From a statistic to its tail: how unusual a value is against its own past, in [0, 1].

A judge asks ``Tails`` for the tail of a column. Where settled past invoices lie in the frame
beside the drafts, they are the yardstick, and it is remembered (``Learning``); where only drafts
are judged (a shard, one invoice), the yardstick was learnt before (``Yardstick``).
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.scoring.windows import day_numbers, floats

Values = npt.NDArray[np.float64]

#: With fewer past values a tail is not calibrated; drafts are then compared with each other.
LEAST_PAST: Final = 50
#: Past rows that a group needs to be a yardstick of its own.
LEAST_GROUP: Final = 60
#: The share of the past above which the tail is continued as an exponential.
TAIL_SHARE: Final = 0.02
#: The exponential rests on so many values at least, whatever their share.
LEAST_TAIL: Final = 5
#: Deviations that must have happened before their tail is continued.
LEAST_DEVIATIONS: Final = 20
#: No tail claims to be rarer than this.
RAREST: Final = 1e-7
#: Decimals that count: below them a ratio of equal amounts is noise of floats.
DECIMALS: Final = 9


class Tails(Protocol):
    """What a judge may ask."""

    def calibrated(
        self, frame: pl.DataFrame, statistic: str, *, within: str | None = None
    ) -> pl.Series:
        """Tail of each row's statistic against the settled past.

        Parameters
        ----------
        frame : pl.DataFrame
            ``is_draft, issued_on`` and ``statistic`` (high = unusual, null: can't be judged).
        statistic : str
            Column; its name is the name of the yardstick.
        within : str or None
            A grouping column (noise regime): a group with enough past rows is its own yardstick.

        Returns
        -------
        pl.Series, Float64
            1 - survival; null where the statistic is null or nothing is there to compare with.
        """

    def rarity(
        self,
        frame: pl.DataFrame,
        statistic: str,
        *,
        stated: float | None = None,
        spread: float | None = None,
    ) -> pl.Series:
        """Tail of an exact deviation: how rarely one at least as large happened before.

        Parameters
        ----------
        frame : pl.DataFrame
            ``is_draft, issued_on`` and ``statistic`` (0: no deviation, null: nothing to compare
            with).
        statistic : str
            Column; its name is the name of the yardstick.
        stated : float or None
            Tail of a deviation where too few rows are known to say how rare it is.
        spread : float or None
            Mean size of deviations where too few happened to tell, in units of the statistic.

        Returns
        -------
        pl.Series, Float64
            A row without deviation has tail 0, however rare deviations are. Beyond the largest
            deviation of the past the tail goes on as an exponential of those that happened, or
            of the stated spread. Null where nothing is known.
        """


@dataclass(frozen=True, slots=True)
class Beyond:
    """An exponential tail: where it starts, how many of the past lie beyond and their mean."""

    start: float
    share: float
    count: int
    mean: float

    def survival(self, values: Values) -> Values:
        """P(a value is at least as large), the mean being known from ``count`` values only.

        The predictive distribution of an exponential under Jeffreys' prior: a few values say
        little of what lies far beyond them, many let it go down as an exponential.
        """
        times = np.maximum(values - self.start, 0.0) / (self.count * self.mean)
        return np.asarray(self.share * (1.0 + times) ** -self.count, dtype=np.float64)


@dataclass(frozen=True)
class Sample:
    """What a statistic was on settled past invoices: sorted, without NaN."""

    values: Values

    @cached_property
    def _levels(self) -> tuple[Values, Values]:
        """Distinct values and the share of the past at least as large as each."""
        levels, first = np.unique(self.values, return_index=True)
        count = len(self.values)
        share = np.asarray((count - first + 0.5) / (count + 0.5), dtype=np.float64)
        return levels, share

    @cached_property
    def _deviations(self) -> tuple[Values, Values]:
        """Distinct deviations that happened and the share of the past at least as large.

        One unseen case is granted to the past, so that a short history claims little.
        """
        happened = self.values[self.values > 0]
        levels, first = np.unique(happened, return_index=True)
        share = (len(happened) - first + 1.0) / (len(self.values) + 2.0)
        if not len(levels):
            return np.zeros(1), np.full(1, 1.0 / (len(self.values) + 2.0))
        return levels, np.asarray(share, dtype=np.float64)

    @cached_property
    def _beyond(self) -> Beyond | None:
        """The exponential of the largest values; None: too few of them differ."""
        largest = max(int(len(self.values) * TAIL_SHARE), LEAST_TAIL)
        if len(self.values) <= largest:
            return None
        start = self.values[-largest - 1]
        excess = self.values[self.values > start] - start
        if len(excess) < LEAST_TAIL:
            return None
        share, mean = len(excess) / len(self.values), max(float(excess.mean()), 1e-9)
        return Beyond(float(start), share, len(excess), mean)

    @cached_property
    def _spread(self) -> float | None:
        """Mean size, above their median, of deviations that happened; None: too few did."""
        happened = self.values[self.values > 0]
        if len(happened) < LEAST_DEVIATIONS:
            return None
        start = float(np.median(happened))
        larger = happened[happened > start]
        return max(float(larger.mean()) - start, 1e-12) if len(larger) else 1e-12

    def survival(self, values: Values) -> Values:
        """P(a past value is at least as large), continued beyond the largest as an exponential.

        Examples
        --------
        >>> Sample(np.arange(100.0)).survival(np.array([0.0, 98.0])).round(2).tolist()
        [1.0, 0.02]
        """
        if not len(self.values):
            return np.full(values.shape, np.nan)
        # Between two past values the share is interpolated, so that no two values tie.
        share = np.interp(values, *self._levels)
        if self._beyond is not None:
            beyond = self._beyond.survival(values)
            share = np.where(values > self._beyond.start, beyond, share)
        return np.where(np.isnan(values), np.nan, np.clip(share, RAREST, 1.0))

    def rarity(self, values: Values, stated_spread: float | None = None) -> Values:
        """1 - P(a deviation at least as large); 0 where there is no deviation."""
        # Between two past values the share is interpolated, so that no two deviations tie.
        share = np.interp(values, *self._deviations)
        spread = self._spread or stated_spread
        if spread is not None:
            share = share * np.exp(-np.maximum(values - self.values[-1], 0.0) / spread)
        return np.where(
            np.isnan(values), np.nan, np.where(values > 0, 1.0 - np.clip(share, RAREST, 1.0), 0.0)
        )


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Samples of the past by statistic, ``statistic@group`` for a noise regime."""

    samples: Mapping[str, Sample] = field(default_factory=dict)

    def calibrated(
        self, frame: pl.DataFrame, statistic: str, *, within: str | None = None
    ) -> pl.Series:
        """See :class:`Tails`."""
        values = _values(frame, statistic)
        past = self._past(statistic)
        if past is None:
            return pl.Series(
                statistic, 1.0 - _among_drafts(frame, values, Sample.survival), nan_to_null=True
            )
        share = past.survival(values)
        if within is not None:
            groups = _groups(frame, within)
            for group in np.unique(groups):  # a handful of regimes, never one an invoice
                own = self.samples.get(f"{statistic}@{group}")
                if own is not None:
                    share[groups == group] = own.survival(values[groups == group])
        return pl.Series(statistic, 1.0 - share, nan_to_null=True)

    def rarity(
        self,
        frame: pl.DataFrame,
        statistic: str,
        *,
        stated: float | None = None,
        spread: float | None = None,
    ) -> pl.Series:
        """See :class:`Tails`."""
        values = _values(frame, statistic)
        past = self._past(statistic)
        if past is None:
            rare = _among_drafts(frame, values, lambda drafts, own: drafts.rarity(own, spread))
            few = np.where(values > 0, np.nan if stated is None else stated, np.nan)
            rare = np.where(np.isnan(rare), few, rare)
        else:
            rare = past.rarity(values, spread)
        return pl.Series(statistic, rare, nan_to_null=True)

    def _past(self, statistic: str) -> Sample | None:
        """The past; None: too few values in it."""
        sample = self.samples.get(statistic)
        return sample if sample is not None and len(sample.values) >= LEAST_PAST else None

    def to_npz(self) -> bytes:
        """Write the samples as an ``.npz`` file's bytes."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: one.values for name, one in self.samples.items()}
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, content: bytes) -> "Yardstick":
        """Read what :meth:`to_npz` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls({name: Sample(arrays[name]) for name in arrays.files})


class Learning:
    """Answers from the past rows of the very frame that it is asked about, and remembers them."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}

    def calibrated(
        self, frame: pl.DataFrame, statistic: str, *, within: str | None = None
    ) -> pl.Series:
        """See :class:`Tails`."""
        self._learn(frame, statistic, within)
        return self.learnt().calibrated(frame, statistic, within=within)

    def rarity(
        self,
        frame: pl.DataFrame,
        statistic: str,
        *,
        stated: float | None = None,
        spread: float | None = None,
    ) -> pl.Series:
        """See :class:`Tails`."""
        self._learn(frame, statistic, None)
        return self.learnt().rarity(frame, statistic, stated=stated, spread=spread)

    def learnt(self) -> Yardstick:
        """What was remembered so far."""
        return Yardstick(self._samples)

    def _learn(self, frame: pl.DataFrame, statistic: str, within: str | None) -> None:
        values = _values(frame, statistic)
        is_past = (~frame["is_draft"]).to_numpy() & ~np.isnan(values)
        self._samples[statistic] = Sample(np.sort(values[is_past]))
        if within is None:
            return
        groups = _groups(frame, within)
        for group in np.unique(groups):
            own = values[is_past & (groups == group)]
            if len(own) >= LEAST_GROUP:
                self._samples[f"{statistic}@{group}"] = Sample(np.sort(own))


def surprise_of(tail: pl.Series) -> pl.Series:
    """How surprising a tail is: -log10 of its survival; adds up over independent judges."""
    surprise = -np.log10(np.clip(1.0 - floats(tail), RAREST, 1.0))
    return pl.Series(tail.name, surprise, nan_to_null=True)


def _among_drafts(
    frame: pl.DataFrame, values: Values, answer: Callable[[Sample, Values], Values]
) -> Values:
    """Without a past each row is compared with the rows of its day and before it, never later ones.

    NaN on days by which fewer than ``LEAST_PAST`` values are known.
    """
    days = day_numbers(frame["issued_on"])
    found = np.full(values.shape, np.nan)
    for day in np.unique(days):  # one round a calendar day, never one an invoice
        seen = values[(days <= day) & ~np.isnan(values)]
        if len(seen) >= LEAST_PAST:
            found[days == day] = answer(Sample(np.sort(seen)), values[days == day])
    return found


def _values(frame: pl.DataFrame, statistic: str) -> Values:
    """A column as floats of ``DECIMALS`` decimals, NaN for null."""
    return np.round(floats(frame[statistic]), DECIMALS)


def _groups(frame: pl.DataFrame, within: str) -> npt.NDArray[np.int64]:
    group = frame[within].cast(pl.Int64)
    return (group.fill_null(-1) if group.null_count() else group).to_numpy()
