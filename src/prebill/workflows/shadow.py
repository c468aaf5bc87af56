"""Shadow scores: written beside a run's decisions, compared later on what really came.

The scoring itself happens where drafts are judged: once with `Judges.models`, once with
`Judges.challenger`. Nothing here changes an action.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.bootstrap import Installation
from prebill.bundles import Role, in_use, load_challenger
from prebill.core.errors import InputError, NotFoundError
from prebill.core.schemas.inbound import CREDIT_NOTES, PAYMENTS
from prebill.core.scoring.backtest import BOOKING_DAYS
from prebill.core.scoring.features.payment_history import receivables
from prebill.core.scoring.shadow import (
    SHADOW_SCORES,
    Answers,
    Shadowed,
    compare_errors,
    compare_lateness,
    shadow_rows,
)
from prebill.core.triage.sample import inverse_weights
from prebill.lake import LakeBatch
from prebill.store.codec import canonical_json
from prebill.store.lake_index import named_batches
from prebill.store.outcomes import sampled_labels, untouched_invoices

TABLE: Final = SHADOW_SCORES.name
#: Outcomes below which nothing is compared.
LEAST_ROWS: Final = 100
SEED: Final = 20260101


def write_shadow(
    opened: Installation,
    run_id: str,
    shard: int,
    *,
    drafts: pl.DataFrame,
    shadow: Answers,
) -> list[LakeBatch]:
    """Write what a challenger would have said; the batch counts once the caller names it in SQL.

    Parameters
    ----------
    opened : Installation
        With the lake.
    run_id, shard
        Make the batch's id together with the challengers' digests: writing twice adds nothing.
    drafts : pl.DataFrame
        ``draft_id, version, customer_id``.
    shadow : Answers
        Of the drafts by both, as scoring returned them.

    Returns
    -------
    list of LakeBatch
        Empty where there is nothing to write.
    """
    rows = shadow_rows(shadow, drafts, run_id)
    if rows.is_empty():
        return []
    # A restarted run may find another challenger than it began with: that is another batch.
    challengers = canonical_json(dict(shadow.versions[1])).encode()
    mark = hashlib.sha256(challengers).hexdigest()[:8]
    return [opened.lake.append(TABLE, rows, f"{run_id}#{shard}#{mark}")]


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """Both on mature outcomes; ``notes`` say what these can't show and what is missing."""

    name: str
    outcome: str
    compared: Shadowed
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For the terminal."""
        gain = self.compared.gain
        of_whom = f"of {gain.customers:,} customers, {self.compared.positives:,} of them positive"
        saved = f"{gain.gain:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}, 95 % by customer)"
        shown = [
            f"{self.name}: {gain.rows:,} {self.outcome} {of_whom}",
            f"Brier score: champion {gain.before:.4f}, challenger {gain.after:.4f}, saves {saved}",
        ]
        for name, (first, second) in self.compared.figures.items():
            shown.append(f"{name}: champion {first:.4f}, challenger {second:.4f}")
        shown.append(f"another action: {self.compared.disagreements:,} drafts")
        return shown + [f"note: {note}" for note in self.notes]


def compare_shadow(opened: Installation, name: str, today: date) -> ShadowReport:
    """Compare the challenger with the champion on mature outcomes of live drafts.

    Raises
    ------
    NotFoundError
        There is no challenger.
    InputError
        Too few outcomes are mature; the message says which are missing.
    """
    if in_use(opened.settings, name, Role.CHALLENGER) is None:
        message = f"{name} has no challenger: `prebill train {name}` makes one if it is better"
        raise NotFoundError(message, name=name)
    challenger = load_challenger(opened.settings)
    assert challenger is not None
    scores = _scores(opened, name, challenger.versions[name])
    rows, notes = (
        _late_rows(opened, scores, today)
        if name == "payment_risk"
        else _error_rows(opened, scores, today)
    )
    if rows.height < LEAST_ROWS:
        message = (
            f"{name}: {scores.height:,} shadow scores, but only {rows.height} of the {LEAST_ROWS} "
            f"mature outcomes that a comparison needs. {' '.join(notes)}"
        )
        raise InputError(message, name=name, scores=scores.height, rows=rows.height)
    together = sorted(set(rows["challenged"].to_list()) - {name})
    if together:
        notes.append(f"challenged together ({'; '.join(together)}): the action is of all of them")
    if name == "payment_risk":
        compared = compare_lateness(rows, seed=SEED)
        return ShadowReport(name, "issued and due, late = positive", compared, notes)
    compared = compare_errors(rows, seed=SEED)
    if not compared.positives:
        notes.append(f"no error in the sample: at most {3 / rows.height:.2%} are wrong (95 %)")
    return ShadowReport(name, "sampled and looked at, wrong = positive", compared, notes)


def _scores(opened: Installation, name: str, digest: str) -> pl.DataFrame:
    """Shadow scores of this very challenger, the latest of each version of a draft."""
    with opened.store.read() as tx:
        batches = named_batches(tx, TABLE)
    found = (
        opened.lake.scan(TABLE, batches)
        .filter(pl.col("model") == name, pl.col("digest") == digest)
        .select(SHADOW_SCORES.names)
        .collect()
    )
    return found.sort("run_id").unique(["draft_id", "draft_version"], keep="last")


def _error_rows(
    opened: Installation, scores: pl.DataFrame, today: date
) -> tuple[pl.DataFrame, list[str]]:
    """Scores with what the random sample of released drafts found."""
    with opened.store.read() as tx:
        labels = sampled_labels(tx, today)
    notes = [
        "The sample is of drafts that the champion released: what it held in vain is not in it."
    ]
    if labels.is_empty():
        notes.append("No label of source 'sample' is mature: released drafts must be sampled.")
    weighted = labels.select(
        *("draft_id", "draft_version", "is_error"), weight=inverse_weights(pl.col("propensity"))
    )
    return scores.join(weighted, on=["draft_id", "draft_version"]).sort("draft_id"), notes


def _late_rows(
    opened: Installation, scores: pl.DataFrame, today: date
) -> tuple[pl.DataFrame, list[str]]:
    """Scores with the payments of documents that were issued without anybody looking."""
    with opened.store.read() as tx:
        documents = untouched_invoices(tx)
        batches = {frame.name: named_batches(tx, frame.name) for frame in (PAYMENTS, CREDIT_NOTES)}
    payments, credited = (
        opened.lake.scan(frame.name, batches[frame.name]).select(frame.names).collect()
        for frame in (PAYMENTS, CREDIT_NOTES)
    )
    paid_on = payments["paid_on"].max()
    known_until = min(today, paid_on + timedelta(days=1)) if isinstance(paid_on, date) else date.min
    notes = [
        "Drafts that anybody had to look at are left out: holding them made them later.",
        f"Payments are known until {known_until}: what is due later has no outcome yet.",
    ]
    settled = receivables(documents, payments, credited).select("invoice_id", "settled_on")
    delay = (pl.col("settled_on") - pl.col("due_on")).dt.total_days()
    mature = pl.col("due_on") + timedelta(days=BOOKING_DAYS) <= known_until
    outcomes = (
        documents.join(settled, on="invoice_id")
        .filter(mature)
        .select("draft_id", "draft_version", is_late=delay.fill_null(1) > 0, delay_days=delay)
    )
    return scores.join(outcomes, on=["draft_id", "draft_version"]).sort("draft_id"), notes
