"""How good the decisions were: what the random sample, verdicts and later facts say of them."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import polars as pl

from prebill.core.policy.model import Policy
from prebill.core.triage.false_holds import ALL, false_hold_rates
from prebill.core.triage.sample import Estimate, SampleEstimates, sample_estimates
from prebill.store.drafts import ALIVE
from prebill.store.engine import Store, Tx
from prebill.store.engine_drafts import LIVE
from prebill.store.outcomes import error_labels

#: Name of a segment → column of :func:`judged_versions`.
SEGMENTS: Final = {"entity": "entity_id", "currency": "currency", "history": "confidence"}
_TEXTS: Final = ("draft_id", "draft_version", "action", "confidence", "currency", "entity_id")


@dataclass(frozen=True, slots=True)
class Quality:
    """Estimates, the rates of false holds by segment (``RATES``), what still waits to be seen."""

    estimates: SampleEstimates
    false_holds: pl.DataFrame
    open_samples: int

    def lines(self) -> list[str]:
        """The figures for people; intervals are 95 %."""
        found = self.estimates
        rate, recall = found.error_rate, found.recall
        known = f"{found.released_errors:,} known to be wrong of {found.released:,}"
        seen = f"{found.unanswered:,} of {found.stopped:,} stopped not answered"
        sampled = f"{rate.rows:,} looked at, {rate.hits:,} wrong" if rate else self._waiting()
        return [
            f"released and wrong      {_told(rate)}; {sampled}; {known}",
            f"stopped of what is wrong {_told(recall)}; {found.stopped_errors:,} wrong; {seen}",
            *(_rate_line(row) for row in self.false_holds.iter_rows(named=True)),
        ]

    def _waiting(self) -> str:
        return f"{self.open_samples:,} cases of the queue sample wait to be looked at"


def quality_of(store: Store, period: str | None, policy: Policy, *, today: date) -> Quality:
    """Measure a period, or everything, on what is mature by today."""
    with store.read() as tx:
        judged = judged_versions(tx, period, today)
        waiting = tx.scalar(
            "SELECT count(*) FROM cases WHERE kind = 'sample' AND status = 'open'", {}
        )
    is_wrong = pl.col("is_error").fill_null(value=False)
    # Of stopped drafts only those count as right that somebody found right. A released one does
    # until it is found wrong: the first line says how many that should be.
    is_known = (pl.col("action") == "release") | pl.col("is_error").is_not_null()
    right = judged.filter(~is_wrong, is_known)
    return Quality(
        estimates=sample_estimates(judged),
        false_holds=false_hold_rates(right, SEGMENTS, policy),
        open_samples=int(waiting),
    )


def judged_versions(tx: Tx, period: str | None, mature_on: date) -> pl.DataFrame:
    """Return the versions that were decided on and count, with what is known of each.

    A version that was replaced counts only if somebody had answered it before: the others were
    never judged by anybody.

    Returns
    -------
    pl.DataFrame
        ``draft_id, draft_version, action, confidence, currency, entity_id``, ``is_error`` (null:
        nobody knows), ``propensity`` (null: not looked at for the sample).
    """
    columns = "e.draft_id, e.draft_version, e.action, e.confidence, e.currency"
    month = "substr(coalesce(d.period_start_on, d.issued_on), 1, 7)"
    found = tx.frame(
        f"SELECT {columns}, d.entity_id, d.{ALIVE} AS counts FROM decisions e "
        "JOIN drafts d ON d.draft_id = e.draft_id AND d.version = e.draft_version "
        f"WHERE d.state <> 'draft'{_of(period, 'd.period')} UNION ALL "
        f"SELECT {columns}, d.entity_id, d.{LIVE} FROM decisions e "
        "JOIN engine_drafts d ON d.draft_id = e.draft_id AND d.version = e.draft_version "
        f"WHERE d.state <> 'withdrawn'{_of(period, month)}",
        {**dict.fromkeys(_TEXTS, pl.String()), "counts": pl.Boolean()},
        {"period": period} if period else {},
    )
    labels = error_labels(tx, mature_on).select(
        "draft_id", "draft_version", "is_error", "propensity"
    )
    joined = found.join(labels, on=["draft_id", "draft_version"], how="left")
    return joined.filter(pl.col("counts") | pl.col("is_error").is_not_null()).drop("counts")


def _of(period: str | None, column: str) -> str:
    return f" AND {column} = :period" if period else ""


def _told(one: Estimate | None) -> str:
    if one is None:
        return "nothing to measure yet"
    if not one.hits and one.value == 0.0:
        return f"at most {one.high:.2%}"
    return f"{one.value:.2%} ({one.low:.2%} to {one.high:.2%})"


def _rate_line(row: dict[str, Any]) -> str:
    whom = "all" if row["segment"] == ALL else f"{row['segment']} {row['value'] or 'unknown'}"
    observed = f"{row['rate']:.2%} ({row['low']:.2%} to {row['high']:.2%})"
    counted = f"{row['held']:,} of {row['invoices']:,} right invoices"
    return (
        f"false holds, {whom:<12} {observed}; {counted}; score limit set for {row['set_for']:.2%}"
    )
