"""Payment figures of drafts: the fitted model's, else own rates pulled to a stated prior."""

from dataclasses import dataclass, field

import polars as pl

from prebill.core.scoring.features import payment
from prebill.core.scoring.features.payment_history import receivables
from prebill.core.scoring.frames import ScoringInputs
from prebill.core.scoring.models import Models, PaymentRisk
from prebill.core.scoring.models.payment_spec import Rung
from prebill.core.scoring.models.prior import predict_prior


@dataclass(frozen=True, slots=True)
class PaymentFigures:
    """``figures``: one row a draft, never null; ``notes``: what could not be used."""

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
        Without payment risk, the customer's own distribution pulled to a prior answers.

    Returns
    -------
    PaymentFigures
        ``figures`` has ``invoice_id, p_late, days_late_p10, _p50, _p90, p_never``.
    """
    drafts = inputs.drafts.invoices
    try:
        risk = models.payment_risk or PaymentRisk(Rung.PRIOR, 0.0)
        figures = risk.predict(_features(inputs))
    except Exception as error:
        note = f"payment model failed, a stated prior answers: {type(error).__name__}: {error}"
        return PaymentFigures(predict_prior(drafts), {"payment_risk": "rule"}, [note])
    versions = {} if models.payment_risk else {"payment_risk": "rule"}
    return PaymentFigures(figures, versions)


def _features(inputs: ScoringInputs) -> pl.DataFrame:
    """Features of the drafts; without any payment nothing is known of past outcomes."""
    drafts, history = inputs.drafts.invoices, inputs.history.invoices
    if inputs.payments.is_empty() and inputs.credit_notes.is_empty():
        history = history.clear()
    known = receivables(history, inputs.payments, inputs.credit_notes, drafts)
    return payment.features(drafts, payment.profile(known, drafts))
