"""What was judged here and later proved right or wrong: stored feature rows with their labels."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from prebill.core.scoring.combine import error_probability
from prebill.core.scoring.declared import READ_BY
from prebill.core.scoring.labels import strongest
from prebill.core.scoring.scene import FEATURE_ROW

if TYPE_CHECKING:
    from prebill.bootstrap import Installation

#: What the model of P(error) learns from: the feature row as it was stored, and the score.
COLUMNS: Final = READ_BY["error_risk"]
#: One row a judged draft. ``day_on``: first day after the billed period; ``p_prior``: P(error) by
#: the stated prior of the policy in force now.
LABELLED: Final = pl.Schema(
    {
        "invoice_id": pl.String,
        "draft_version": pl.String,
        "customer_id": pl.String,
        "entity_id": pl.String,
        "currency": pl.String,
        "day_on": pl.Date,
        "total_minor": pl.Int64,
        "is_error": pl.Boolean,
        "source": pl.String,
        "weight": pl.Float64,
        "propensity": pl.Float64,
        "was_shown": pl.Boolean,
        "matures_on": pl.Date,
        "p_prior": pl.Float64,
        **dict.fromkeys(COLUMNS, pl.Float64),
    }
)


def read_labelled(
    opened: "Installation", mature_on: date, *, within: timedelta | None = None
) -> pl.DataFrame:
    """Join mature labels with the feature rows on which the drafts were decided.

    Parameters
    ----------
    opened : Installation
        Database, lake and policy.
    mature_on : date
        Labels that mature later are not known yet.
    within : timedelta or None
        Only labels that matured so soon after ``day_on``: then all drafts were seen equally long.

    Returns
    -------
    pl.DataFrame
        ``LABELLED``. A feature that an older row lacks is null. Rows of the hook are there once
        they were moved to the lake.
    """
    from prebill.store.judgements import judged_drafts
    from prebill.store.outcomes import mature_labels

    with opened.store.read() as tx:
        mature = mature_labels(tx, mature_on)
        judged = judged_drafts(tx)
    if within is not None:
        days = judged.select(*_KEY, until_on=pl.col("day_on") + within)
        mature = mature.join(days, on=_KEY, maintain_order="left")
        mature = mature.filter(pl.col("matures_on") <= pl.col("until_on"))
    known = strongest(mature, mature_on).join(judged, on=_KEY, maintain_order="left")
    found = with_features(opened, known)
    policy = opened.load_policy()
    return (
        found.with_columns(p_prior=error_probability(pl.col("anomaly_score"), policy))
        .select(
            pl.col(_SAME.get(name, name)).cast(kind).alias(name) for name, kind in LABELLED.items()
        )
        .sort("day_on", "invoice_id", "draft_version")
    )


def with_features(opened: "Installation", judged: pl.DataFrame) -> pl.DataFrame:
    """Add the stored feature row to what was judged; what has none is left out.

    Parameters
    ----------
    opened : Installation
        Database and lake.
    judged : pl.DataFrame
        From :func:`prebill.store.judgements.judged_drafts`, or some of it.

    Returns
    -------
    pl.DataFrame
        With ``FEATURE_ROW``; a feature that an older row lacks is null.
    """
    from prebill.store.judgements import GATE_RUN
    from prebill.store.lake_index import named_batches

    with opened.store.read() as tx:
        batches = named_batches(tx, "feature_rows")
    parts = [judged.clear()]
    for (run_id,), part in judged.partition_by("run_id", as_dict=True).items():
        own = [batch for batch in batches if batch.startswith(f"{run_id}#")]
        if not own:
            continue
        rows = opened.lake.scan("feature_rows", own)
        with opened.lake.reading():
            stored = rows.rename({"invoice_id": "draft_id"}).collect()
        # A run judges one version of a draft, the hook each that comes.
        key = _KEY if run_id == GATE_RUN else _KEY[:1]
        stored = stored.select(*key, *(name for name in FEATURE_ROW if name in stored.columns))
        parts.append(part.join(stored, on=key, maintain_order="left"))
    found = pl.concat(parts, how="diagonal")
    absent = [name for name in FEATURE_ROW if name not in found.columns]
    return found.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in absent)


_KEY: Final = ("draft_id", "draft_version")
_SAME: Final = {"invoice_id": "draft_id"}
