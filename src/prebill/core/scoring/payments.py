"""Payment figures of drafts: the fitted model's, or the portfolio's own rate as a stated prior."""

from dataclasses import dataclass, field

import polars as pl

from prebill.core.scoring.features.payment import settlements
from prebill.core.scoring.frames import ScoringInputs
from prebill.core.scoring.models import Models
from prebill.core.scoring.models.prior import MATURE_DAYS, predict_prior


@dataclass(frozen=True, slots=True)
class PaymentFigures:
    """``figures``: one row a draft, never null; ``notes``: what had to be left out."""

    figures: pl.DataFrame
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def payment_figures(inputs: ScoringInputs, models: Models) -> PaymentFigures:
    """Say when drafts will be paid.

    Parameters
    ----------
    inputs : ScoringInputs
        Settled by the as-of rule.
    models : Models
        Without payment risk, the prior answers.

    Returns
    -------
    PaymentFigures
        ``figures`` has ``invoice_id, p_late, days_late_p10, days_late_p50, days_late_p90``.
    """
    drafts = inputs.drafts.invoices
    prior = predict_prior(drafts, settled_past(inputs))
    return PaymentFigures(prior, {"payment_risk": "rule"})


def settled_past(inputs: ScoringInputs) -> pl.DataFrame:
    """Invoices whose outcome was known, whatever it is, before the first draft.

    Returns
    -------
    pl.DataFrame
        ``due_on, settled_on``; only invoices due at least ``MATURE_DAYS`` before the first draft.
    """
    cut_off = inputs.cut_off
    past = inputs.history.invoices
    if cut_off is None:
        return past.select("due_on", settled_on="due_on").clear()
    before = inputs.payments.filter(pl.col("paid_on") < cut_off)
    credits = inputs.credit_notes.filter(pl.col("issued_on") < cut_off)
    known = past.filter(pl.col("due_on").dt.offset_by(f"{MATURE_DAYS}d") < cut_off)
    return known.join(settlements(known, before, credits), on="invoice_id", how="left").select(
        "due_on", "settled_on"
    )
