"""Payment figures of drafts: the fitted model's, else own rates pulled to a stated prior."""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.features import payment
from prebill.core.scoring.features.payment_everyone import Everyone, Outcomes, everyone_of
from prebill.core.scoring.features.payment_history import OPEN, receivables
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models, PaymentRisk
from prebill.core.scoring.models.payment_spec import Rung
from prebill.core.scoring.models.prior import predict_prior

#: What stands for the model's digest where no model answered.
NO_MODEL: Final = "rule"
NOT_FOR_PERSONS: Final = "prior (natural person)"


@dataclass(frozen=True, slots=True)
class PaymentFigures:
    """``figures``: one row a draft, never null; ``notes``: what could not be used.

    ``figures["is_person"]``: the model was not asked, because it may not judge natural persons.
    """

    figures: pl.DataFrame
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def payment_figures(
    inputs: ScoringInputs,
    models: Models,
    *,
    everyone: Everyone | None = None,
    judges_persons: bool = True,
) -> PaymentFigures:
    """Say when drafts will be paid.

    Parameters
    ----------
    inputs : ScoringInputs
        Settled by the as-of rule.
    models : Models
        Without payment risk, the customer's own distribution pulled to a prior answers.
    everyone : Everyone or None
        From :func:`payers_of` the company; None: counted from the history of ``inputs``.
    judges_persons : bool
        False: natural persons get the stated prior, whatever is known of them.

    Returns
    -------
    PaymentFigures
        ``figures`` has ``invoice_id, p_late, days_late_p10, _p50, _p90, p_never, is_person``.
    """
    drafts = inputs.drafts.invoices
    persons = drafts.clear() if judges_persons else _of_persons(inputs)
    asked = drafts
    if not persons.is_empty():
        asked = drafts.join(persons, on="invoice_id", how="anti", maintain_order="left")
    risk = models.payment_risk or PaymentRisk(Rung.PRIOR, 0.0)
    versions, notes = {"payment_rung": risk.rung.value}, []
    if models.payment_risk is None:
        versions["payment_risk"] = NO_MODEL
    if not persons.is_empty():
        notes.append(
            f"payment risk may not judge natural persons: {persons.height:,} drafts of customers "
            "without is_business and tax id have a stated prior"
        )
    try:
        figures = risk.predict(_features(inputs, asked, everyone))
    except Exception as error:
        notes.append(
            f"payment model failed, a stated prior answers: {type(error).__name__}: {error}"
        )
        figures, versions = predict_prior(asked), {"payment_risk": NO_MODEL}
    figures = figures.with_columns(is_person=pl.lit(value=False))
    if not persons.is_empty():
        stated = predict_prior(persons).with_columns(is_person=pl.lit(value=True))
        figures = drafts.select("invoice_id").join(
            pl.concat([figures, stated]), on="invoice_id", how="left", maintain_order="left"
        )
    return PaymentFigures(figures, versions, notes)


def payers_of(inputs: ScoringInputs) -> Everyone | None:
    """Count everyone's payments on the morning after the last known day.

    Parameters
    ----------
    inputs : ScoringInputs
        The company's history; drafts are left out.

    Returns
    -------
    Everyone or None
        One row. None: no payment is known, so that nothing can be said of anyone.
    """
    known = _known(replace(inputs, drafts=Books()))
    paid = known.filter(pl.col("settled_day") < OPEN)
    if paid.is_empty():
        return None
    last = max(known["issued_day"].to_numpy().max(), paid["settled_day"].to_numpy().max())
    columns = ("counts_day", "due_day", "settled_day", "due_weekday")
    outcomes = Outcomes(*(known[name].to_numpy() for name in columns))
    return everyone_of(outcomes, np.array([last + 1]))


def _of_persons(inputs: ScoringInputs) -> pl.DataFrame:
    """Drafts of customers who are not said to be a business and have no tax id."""
    businesses = inputs.customers.filter(
        pl.col("is_business").fill_null(pl.col("tax_id").is_not_null())
    )
    return inputs.drafts.invoices.join(businesses, on="customer_id", how="anti")


def _features(
    inputs: ScoringInputs, asked: pl.DataFrame, everyone: Everyone | None
) -> pl.DataFrame:
    known = _known(inputs, are_recorded=everyone is not None)
    return payment.features(asked, payment.profile(known, asked, inputs.disputes, everyone))


def _known(inputs: ScoringInputs, *, are_recorded: bool = False) -> pl.DataFrame:
    """``REMEMBERED`` without drafts; without any payment nothing is known of past outcomes.

    ``are_recorded``: the company has payments, though these customers may have none.
    """
    drafts = inputs.drafts.invoices
    if inputs.remembered is not None:
        is_draft = inputs.remembered["invoice_id"].is_in(drafts["invoice_id"].implode())
        return inputs.remembered.filter(~is_draft) if is_draft.any() else inputs.remembered
    history = inputs.history.invoices
    if not are_recorded and inputs.payments.is_empty() and inputs.credit_notes.is_empty():
        history = history.clear()
    return payment.remembered(receivables(history, inputs.payments, inputs.credit_notes, drafts))
