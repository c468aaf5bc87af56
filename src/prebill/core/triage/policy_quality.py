"""Precision and recall of a policy on labels of drafts on which another one decided.

What was stopped was looked at by people; of what was released the random sample tells, each row by
the inverse of its chance. The rates of the sample are taken apart for what the asked policy stops
and releases, and stand for all of those. Pure.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from prebill.core.triage.intervals import clopper_pearson
from prebill.core.triage.sample import Estimate, inverse_weights, weighted_rate


@dataclass(frozen=True, slots=True)
class PolicyQuality:
    """Of what is stopped, the share that is wrong; of what is wrong, the share that is stopped.

    None: nothing tells. ``unseen`` drafts would be stopped that were released, and none of them
    was looked at. ``labels`` were used, ``errors`` of them wrong.
    """

    precision: Estimate | None
    recall: Estimate | None
    labels: int
    errors: int
    unseen: int

    def as_json(self) -> dict[str, Any]:
        """For an interface."""
        return {
            "precision": _json(self.precision),
            "recall": _json(self.recall),
            "labels": self.labels,
            "errors": self.errors,
            "unseen": self.unseen,
        }


@dataclass(frozen=True, slots=True)
class _Count:
    """An estimated number of drafts with its 95 % interval."""

    value: float
    low: float
    high: float


def policy_quality(rows: pl.DataFrame, action: str) -> PolicyQuality:
    """Estimate how good a policy would have been.

    Parameters
    ----------
    rows : pl.DataFrame, one row per decision
        ``action``: what was done; the column that ``action`` names: what the policy would do;
        ``is_error`` (null: nobody knows) and ``propensity`` (null: not looked at for the sample).
    action : str
        Column of the policy's actions.

    Returns
    -------
    PolicyQuality
        Stopped drafts that nobody has answered count as right for the recall, which is rather too
        low, and not at all for the precision. A label that came by itself (a credit note, a
        payment) on a released draft outside the sample counts for neither: such labels are not a
        fair picture of all.
    """
    stops = pl.col("stops")
    split = rows.select("action", "is_error", "propensity", stops=pl.col(action) != "release")
    looked = split.filter(pl.col("action") != "release")
    released = split.filter(pl.col("action") == "release")
    seen = released.filter(pl.col("propensity").is_not_null(), pl.col("is_error").is_not_null())
    seen = seen.with_columns(weight=inverse_weights(pl.col("propensity")))
    newly = released.filter(stops).height
    caught = _errors(seen.filter(stops), newly)
    missed = _errors(seen.filter(~stops), released.height - newly)
    is_wrong = pl.col("is_error").fill_null(value=False)
    stopped = looked.filter(stops)
    known = stopped.filter(pl.col("is_error").is_not_null())
    still, let_go = (looked.filter(flag, is_wrong).height for flag in (stops, ~stops))
    rows_used = known.height + seen.height
    errors = looked.filter(is_wrong).height + seen.filter("is_error").height
    return PolicyQuality(
        precision=_precision(still, known.height, caught, newly),
        recall=_recall(still, let_go, caught, missed, rows_used, errors),
        labels=looked["is_error"].count() + seen.height,
        errors=errors,
        unseen=newly if newly and caught is None else 0,
    )


def _errors(seen: pl.DataFrame, drafts: int) -> _Count | None:
    """Wrong ones among so many released drafts, of which these were seen; None: none was."""
    if not drafts:
        return _Count(0.0, 0.0, 0.0)
    if seen.is_empty():
        return None
    rate = weighted_rate(seen)
    return _Count(rate.value * drafts, rate.low * drafts, rate.high * drafts)


def _precision(still: int, known: int, caught: _Count | None, newly: int) -> Estimate | None:
    if caught is None or not known + newly:
        return None
    low, high = clopper_pearson(still, known) if known else (0.0, 0.0)
    of = known + newly
    return Estimate(
        (still + caught.value) / of,
        (low * known + caught.low) / of,
        min((high * known + caught.high) / of, 1.0),
        known + newly,
        still,
    )


def _recall(
    still: int, let_go: int, caught: _Count | None, missed: _Count | None, rows: int, errors: int
) -> Estimate | None:
    """The interval is of the ends at their worst together: rather too wide than too narrow."""
    if caught is None or missed is None:
        return None

    def share(stopped: float, passed: float) -> float:
        return stopped / (stopped + passed) if stopped + passed else 0.0

    if not still + let_go + caught.value + missed.value:
        return None
    return Estimate(
        share(still + caught.value, let_go + missed.value),
        share(still + caught.low, let_go + missed.high),
        share(still + caught.high, let_go + missed.low),
        rows,
        errors,
    )


def _json(one: Estimate | None) -> dict[str, Any] | None:
    return None if one is None else {"value": one.value, "low": one.low, "high": one.high}
