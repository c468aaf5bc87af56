"""Past months as if each had been live: models of that morning, drafts judged, later facts tell.

Pure: the same for `python -m training backtest` and for a report on another company's invoices.
Of contracts only terms recorded before the month count; entitlements of the past are not known any
more, so that their judge stays silent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.core.calendar import Period, add_months
from prebill.core.scoring.combine import Terms
from prebill.core.scoring.features.payment_history import receivables
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.labels import CREDIT_DAYS, is_correction
from prebill.core.scoring.models import fit_models
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import score_scene

#: Days after due by which "late" has surely reached the books.
BOOKING_DAYS: Final = 2

JUDGED: Final = pl.Schema(
    {
        "month": pl.String,
        "invoice_id": pl.String,
        "customer_id": pl.String,
        "issued_on": pl.Date,
        "currency": pl.String,
        "total_minor": pl.Int64,
        "action": pl.String,
        "expected_loss_minor": pl.Int64,
        "anomaly_score": pl.Float64,
        "p_error": pl.Float64,
        "p_late": pl.Float64,
        "days_late_p10": pl.Float64,
        "days_late_p50": pl.Float64,
        "days_late_p90": pl.Float64,
        "reasons": pl.String,
        "is_error": pl.Boolean,  # null: not known yet
        "error_minor": pl.Int64,  # credited, else 0
        "is_late": pl.Boolean,  # null: not known yet
        "delay_days": pl.Int64,  # null: not settled
    }
)
MONTHS: Final = pl.Schema(
    {
        "month": pl.String,
        "drafts": pl.Int64,
        "release": pl.Int64,
        "review": pl.Int64,
        "hold": pl.Int64,
        "known": pl.Int64,  # drafts whose correctness is known by now
        "errors": pl.Int64,
        "stopped_errors": pl.Int64,
        "precision": pl.Float64,  # errors among the known stopped ones
        "recall": pl.Float64,
        "due": pl.Int64,  # drafts of which it is known whether they were late
        "late_share": pl.Float64,
        "p_late": pl.Float64,  # mean said
        "auroc": pl.Float64,
        "brier": pl.Float64,
        "mae_days": pl.Float64,
        "cover_80": pl.Float64,
    }
)


@dataclass(frozen=True, slots=True)
class Past:
    """Everything known by ``known_until`` (exclusive). ``inputs`` has all invoices as history.

    ``verdicts``: invoices that a reviewer found wrong, ``invoice_id, error_minor`` (money wrong);
    ``as_drafted``: their content as it was judged, where it was corrected before it was issued.
    """

    inputs: ScoringInputs
    known_until: date
    verdicts: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"invoice_id": pl.String, "error_minor": pl.Int64}
        )
    )
    as_drafted: Books = field(default_factory=Books)


@dataclass(frozen=True, slots=True)
class Backtest:
    """``months`` (``MONTHS``), ``judged`` (``JUDGED``), and what could not be fitted, in words."""

    months: pl.DataFrame
    judged: pl.DataFrame
    notes: list[str]


def backtest(past: Past, months: Sequence[Period], policy: Terms, *, seed: int) -> Backtest:
    """Judge the invoices of past months as drafts, each with models of its first morning.

    Parameters
    ----------
    past : Past
        Everything; what a month may not have known is left out here.
    months : sequence of Period
        Months to judge.
    policy : Terms
        Turns scores into actions.
    seed : int
        Of the fits.

    Returns
    -------
    Backtest
        Months without an invoice are absent.
    """
    parts, notes = [pl.DataFrame(schema=JUDGED)], []
    for month in months:
        judged, said = judge_month(past, month, policy, seed=seed)
        parts.append(judged)
        notes += [f"{month.name}: {note}" for note in said]
    judged = pl.concat(parts)
    return Backtest(by_month(judged), judged, notes)


def latest_months(invoices: pl.DataFrame, count: int, *, known_until: date) -> list[Period]:
    """The latest whole months that have invoices and at least a month of history before them.

    Parameters
    ----------
    invoices : pl.DataFrame
        ``issued_on``.
    count : int
        At most so many.
    known_until : date
        The month of the last invoice counts as whole from its end on.

    Returns
    -------
    list of Period
        In order; empty where the history is too short.
    """
    first_on, last_on = invoices["issued_on"].min(), invoices["issued_on"].max()
    if not isinstance(first_on, date) or not isinstance(last_on, date):
        return []
    end_on = last_on.replace(day=1)
    if add_months(end_on, 1) <= known_until:
        end_on = add_months(end_on, 1)
    months = [Period(add_months(end_on, -n - 1), add_months(end_on, -n)) for n in range(count)]
    return sorted(month for month in months if month.start_on >= add_months(first_on, 1))


def judge_month(
    past: Past, month: Period, policy: Terms, *, seed: int
) -> tuple[pl.DataFrame, list[str]]:
    """Judge one month; the frame is ``JUDGED``, the notes say what the history did not allow."""
    inputs = _as_of(past, month)
    if inputs.drafts.invoices.is_empty():
        return pl.DataFrame(schema=JUDGED), []
    scene = scene_of(inputs)
    fitted = fit_models(scene.rows, scene.inputs, seed=seed, train_before=month.start_on)
    scored = score_scene(scene, fitted.models, policy)
    drafts = inputs.drafts.invoices.select(
        "invoice_id", "customer_id", "issued_on", "due_on", "total_minor"
    )
    judged = (
        scored.decisions.join(drafts, on="invoice_id", how="left", maintain_order="left")
        .join(_errors(past, drafts), on="invoice_id", how="left", maintain_order="left")
        .join(_delays(past, drafts), on="invoice_id", how="left", maintain_order="left")
        .with_columns(month=pl.lit(month.name))
    )
    return judged.select(pl.col(name).cast(kind) for name, kind in JUDGED.items()), fitted.notes


def by_month(judged: pl.DataFrame) -> pl.DataFrame:
    """Count and measure ``JUDGED`` rows month by month: ``MONTHS``."""
    stopped = pl.col("action") != "release"
    known, wrong = pl.col("is_error").is_not_null(), pl.col("is_error").fill_null(value=False)
    due, late = pl.col("is_late").is_not_null(), pl.col("is_late").cast(pl.Float64)
    settled = due & pl.col("delay_days").is_not_null()
    inside = pl.col("delay_days").is_between("days_late_p10", "days_late_p90")
    counts = judged.group_by("month").agg(
        drafts=pl.len(),
        **{name: (pl.col("action") == name).sum() for name in ("release", "review", "hold")},
        known=known.sum(),
        errors=wrong.sum(),
        stopped_errors=(wrong & stopped).sum(),
        precision=(wrong & stopped).sum() / (known & stopped).sum(),
        recall=(wrong & stopped).sum() / wrong.sum(),
        due=due.sum(),
        late_share=late.mean(),
        p_late=pl.col("p_late").filter(due).mean(),
        auroc=_auroc(pl.col("p_late").filter(due), late.filter(due)),
        brier=((pl.col("p_late") - late) ** 2).mean(),
        mae_days=(pl.col("days_late_p50") - pl.col("delay_days")).abs().filter(settled).mean(),
        cover_80=inside.filter(settled).cast(pl.Float64).mean(),
    )
    shown = counts.select(pl.col(name).cast(kind) for name, kind in MONTHS.items())
    return shown.with_columns(
        pl.col(name).fill_nan(None) for name, kind in MONTHS.items() if kind == pl.Float64
    ).sort("month")


def _as_of(past: Past, month: Period) -> ScoringInputs:
    """The month's invoices as drafts, as they were judged; of everything else what came before."""
    inputs = past.inputs
    is_draft = pl.col("issued_on").is_between(month.start_on, month.end_on, closed="left")
    invoices = inputs.history.invoices
    drafts = Books(invoices.filter(is_draft), inputs.history.lines)
    corrected = past.as_drafted.invoices.join(drafts.invoices, on="invoice_id", how="semi")
    if not corrected.is_empty():
        ids = corrected.select("invoice_id")
        kept = drafts.invoices.join(ids, on="invoice_id", how="anti")
        lines = drafts.lines.join(ids, on="invoice_id", how="anti")
        drafts = Books(
            pl.concat([kept, corrected]),
            pl.concat([lines, past.as_drafted.lines.join(ids, on="invoice_id", how="semi")]),
        )
    return replace(
        inputs,
        history=Books(invoices.filter(pl.col("issued_on") < month.end_on), inputs.history.lines),
        drafts=drafts,
        terms=inputs.terms.filter(pl.col("recorded_at").dt.date() < month.start_on),
        as_of_on=month.start_on,
    )


def _errors(past: Past, drafts: pl.DataFrame) -> pl.DataFrame:
    """``invoice_id, is_error, error_minor``: corrected later? Null while that may still come.

    Without any credit note or verdict nobody recorded corrections: nothing is known.
    """
    credited = (
        past.inputs.credit_notes.filter(is_correction(pl.col("reason")))
        .rename({"issued_on": "credited_on"})
        .join(drafts.select("invoice_id", "issued_on"), on="invoice_id")
        .filter(pl.col("credited_on") < pl.col("issued_on") + timedelta(days=CREDIT_DAYS))
        .select("invoice_id", error_minor="amount_minor")
    )
    wrong = (
        pl.concat([credited, past.verdicts.select("invoice_id", "error_minor")])
        .group_by("invoice_id")
        .agg(pl.col("error_minor").sum())
    )
    joined = drafts.join(wrong, on="invoice_id", how="left", maintain_order="left")
    is_recorded = not (past.inputs.credit_notes.is_empty() and past.verdicts.is_empty())
    is_over = pl.col("issued_on") + timedelta(days=CREDIT_DAYS) <= past.known_until
    found = pl.col("error_minor").is_not_null()
    return joined.select(
        "invoice_id",
        pl.col("error_minor").fill_null(0),
        is_error=pl.when(is_recorded & (found | is_over)).then(found),
    )


def _delays(past: Past, drafts: pl.DataFrame) -> pl.DataFrame:
    """``invoice_id, is_late, delay_days``; null while it is not known."""
    inputs = past.inputs
    known = receivables(inputs.history.invoices, inputs.payments, inputs.credit_notes)
    settled = drafts.join(
        known.select("invoice_id", "settled_on"), on="invoice_id", how="left", maintain_order="left"
    )
    delay = (pl.col("settled_on") - pl.col("due_on")).dt.total_days()
    is_mature = pl.col("due_on") + timedelta(days=BOOKING_DAYS) <= past.known_until
    has_payments = not (inputs.payments.is_empty() and inputs.credit_notes.is_empty())
    return settled.select(
        "invoice_id",
        is_late=pl.when(is_mature & has_payments).then(delay.fill_null(1) > 0),
        delay_days=delay,
    )


def _auroc(score: pl.Expr, outcome: pl.Expr) -> pl.Expr:
    """Area under the ROC curve by ranks; NaN where only one outcome came."""
    positives = outcome.sum()
    negatives = outcome.len() - positives
    ranks = (score.rank() * outcome).sum()
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)
