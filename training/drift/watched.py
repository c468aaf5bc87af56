"""What is watched, made from frames: judged drafts, invoices as payment risk sees them. Pure."""

from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.core.scoring.features import payment
from prebill.core.scoring.labels import CREDIT_DAYS
from prebill.core.scoring.models.error_risk import ErrorRisk
from prebill.core.scoring.models.payment_risk import PaymentRisk
from prebill.core.scoring.scene import FEATURES
from training.drift.judge import Watched
from training.drift.limits import Limits
from training.error_risk import weighted
from training.split import BOOKING_DAYS

#: How long after due every delay is observed before windows of delays are compared.
DELAY_SEEN_DAYS: Final = 15
#: Within how many days a verdict or credit note counts against a draft.
CORRECTED_DAYS: Final = 90
#: How long after the billed period a label counts: what matures last does after 90 days from the
#: issue, which a month of waiting may precede.
LABELS_SEEN_DAYS: Final = CREDIT_DAYS + 31
#: P(late) is watched with its own model below.
_SCORES: Final = ("anomaly_score", "p_error")
#: On time, up to five days late, later, and not within the days observed.
_DELAY_CLASSES: Final = (0.0, 5.0, float(DELAY_SEEN_DAYS))


def detection(
    decisions: pl.DataFrame,
    feature_rows: pl.DataFrame,
    limits: Limits,
    *,
    reference: tuple[date, date] | None = None,
) -> Watched:
    """Watch the features, scores and actions of judged drafts.

    Parameters
    ----------
    decisions : pl.DataFrame
        ``DECISIONS`` with ``at_on``, the day they were judged on, and ``customer_id``.
    feature_rows : pl.DataFrame
        ``invoice_id, at_on`` and features. Decisions without one are left out, unless no feature
        was kept at all.
    limits : Limits
        Names the top features.
    reference : pair of dates or None
        The champion's test period [start, end).
    """
    names = [name for name in FEATURES if name in feature_rows.columns]
    rows = decisions.select(
        "at_on",
        *_SCORES,
        row_id="invoice_id",
        cluster=pl.coalesce("customer_id", "invoice_id"),
        is_held=pl.col("action") == "hold",
        is_stopped=pl.col("action") != "release",
    )
    if names:
        own = feature_rows.select("at_on", *names, row_id="invoice_id")
        rows = rows.join(own, on=["row_id", "at_on"], how="inner", maintain_order="left")
    return Watched(
        name="detection",
        rows=rows,
        reference=reference,
        features=names,
        top=[name for name in limits.top["detection"] if name in names],
        scores=_SCORES,
        shares=("is_held", "is_stopped"),
    )


def error_risk(
    judged: pl.DataFrame,
    labelled: pl.DataFrame,
    model: ErrorRisk,
    limits: Limits,
    *,
    reference: tuple[date, date],
) -> list[Watched]:
    """Watch what the re-ranker reads and says of judged drafts, and what labels made of it.

    Parameters
    ----------
    judged : pl.DataFrame
        ``invoice_id, customer_id, day_on, anomaly_score`` and feature rows.
    labelled : pl.DataFrame
        ``LABELLED``, with labels that matured within ``LABELS_SEEN_DAYS`` of ``day_on``.
    model : ErrorRisk
        The champion.
    limits : Limits
        Names the top features.
    reference : pair of dates
        The champion's test period [start, end), by ``day_on``.

    Returns
    -------
    list of Watched
        ``error_risk`` by the day after the billed period; ``errors`` when every label that counts
        has matured. Rows before the reference were learnt from and are left out.
    """
    rows = _said(judged, model, reference).rename({"invoice_id": "row_id"})
    known = _said(weighted(labelled).filter("calibrates"), model, reference)
    matured = known.drop_nulls("p_error").select(
        "cluster",
        "p_error",
        "is_error",
        row_id="invoice_id",
        at_on=pl.col("at_on") + timedelta(days=LABELS_SEEN_DAYS),
    )
    start_on, end_on = (day + timedelta(days=LABELS_SEEN_DAYS) for day in reference)
    return [
        Watched(
            name="error_risk",
            rows=rows,
            reference=reference,
            features=model.columns,
            top=[name for name in limits.top["error_risk"] if name in model.columns],
            scores=("p_error",),
        ),
        Watched(
            name="errors",
            rows=matured,
            reference=(start_on, end_on),
            shares=("is_error",),
            outcomes={"p_error": "is_error"},
        ),
    ]


def _said(rows: pl.DataFrame, model: ErrorRisk, reference: tuple[date, date]) -> pl.DataFrame:
    """Rows that the model has not learnt, with its P(error); a column that none has is null."""
    later = rows.filter(pl.col("day_on") >= reference[0])
    absent = [name for name in model.columns if name not in later.columns]
    later = later.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
    return later.with_columns(
        model.predict(later),
        at_on="day_on",
        cluster=pl.coalesce("customer_id", "invoice_id"),
    )


def corrections(decisions: pl.DataFrame, found: pl.DataFrame, *, as_of_on: date) -> Watched:
    """Watch whether P(error) means what it says, 90 days after a draft was judged.

    Parameters
    ----------
    decisions : pl.DataFrame
        ``DECISIONS`` with ``at_on`` and ``customer_id``. A stated prior makes no promise: only
        probabilities learnt from labels are watched.
    found : pl.DataFrame
        ``draft_id, found_on``: the day of a verdict or credit note (goodwill excluded) that says
        the draft was wrong.
    as_of_on : date
        What is found this day or later is not read.
    """
    end_on = pl.col("at_on") + timedelta(days=CORRECTED_DAYS)
    learnt = decisions.filter(pl.col("p_error_basis") == "labels").select(
        "p_error",
        row_id="invoice_id",
        cluster=pl.coalesce("customer_id", "invoice_id"),
        at_on=end_on,
    )
    wrong = found.filter(pl.col("found_on") < as_of_on).group_by("draft_id")
    rows = learnt.join(
        wrong.agg(pl.col("found_on").min()),
        left_on="row_id",
        right_on="draft_id",
        how="left",
        maintain_order="left",
    ).with_columns(is_corrected=(pl.col("found_on") < pl.col("at_on")).fill_null(value=False))
    return Watched(
        name="corrections",
        rows=rows.drop("found_on"),
        shares=("is_corrected",),
        outcomes={"p_error": "is_corrected"},
    )


def payment_risk(
    receivables: pl.DataFrame,
    model: PaymentRisk,
    limits: Limits,
    *,
    as_of_on: date,
    reference: tuple[date, date],
) -> list[Watched]:
    """Watch payment risk on invoices as of their own issue day, and what became of them.

    Parameters
    ----------
    receivables : pl.DataFrame
        From :func:`prebill.core.scoring.features.payment.receivables`.
    model : PaymentRisk
        The champion.
    limits : Limits
        Names the top features.
    as_of_on : date
        Nothing dated this day or later is read.
    reference : pair of dates
        The champion's test period [start, end).

    Returns
    -------
    list of Watched
        ``payment_risk`` by issue day; ``late`` two days after due, when lateness has reached the
        books; ``delay`` fifteen days after due.
    """
    known = receivables.filter(pl.col("issued_on") < as_of_on).with_columns(
        settled_on=pl.when(pl.col("settled_on") < as_of_on).then("settled_on")
    )
    judged = known.filter(
        pl.col("issued_on") >= reference[0], "is_labelled", pl.col("total_minor") > 0
    )
    seen = payment.features(judged, payment.profile(known, judged))
    rows = (
        judged.select("invoice_id", "customer_id", "issued_on", "due_on", "settled_on")
        .join(seen, on="invoice_id", maintain_order="left")
        .join(model.predict(seen), on="invoice_id", maintain_order="left")
        .rename({"invoice_id": "row_id", "customer_id": "cluster"})
    )
    delay = (pl.col("settled_on") - pl.col("due_on")).dt.total_days()
    late = rows.select(
        *("row_id", "cluster", "p_late"),
        at_on=pl.col("due_on") + timedelta(days=BOOKING_DAYS),
        is_late=(delay > 0).fill_null(value=True),
    )
    days = rows.select(
        *("row_id", "cluster"),
        at_on=pl.col("due_on") + timedelta(days=DELAY_SEEN_DAYS + 1),
        # Unpaid then, though perhaps paid by now, is one class.
        days_late=delay.fill_null(DELAY_SEEN_DAYS + 1).clip(None, DELAY_SEEN_DAYS + 1),
    )
    return [
        Watched(
            name="payment_risk",
            rows=rows.with_columns(at_on="issued_on"),
            reference=reference,
            features=tuple(payment.FEATURES),
            top=limits.top["payment_risk"],
            scores=("p_late",),
        ),
        Watched("late", late, reference, outcomes={"p_late": "is_late"}),
        Watched("delay", days, reference, labels={"days_late": _DELAY_CLASSES}),
    ]
