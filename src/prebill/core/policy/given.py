"""What a policy was given of each draft, kept with the decision: to decide again by another.

Kept are the scores, what judges and billing found, and facts that stop a draft whatever rules say.
What a policy's own rules said is not kept; it follows from the scores.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import polars as pl

from prebill.core.schemas.frame import Frame, boolean, day, floating, instant, integer, minor, text
from prebill.core.schemas.frame import optional as null
from prebill.core.schemas.internal import DECISIONS, FINDINGS
from prebill.core.scoring.circumstances import CIRCUMSTANCES
from prebill.core.scoring.exposure import EXPOSURES

GIVEN: Final = Frame(
    "given",
    "What a policy was given of a draft beside the columns of its decision.",
    ("invoice_id", "draft_version"),
    (
        text("invoice_id", "draft"),
        text("draft_version", "version judged"),
        text("run_id", "run that judged it; gate: the hook"),
        instant("decided_at", "when"),
        text("customer_id", "who pays"),
        null(text("entity_id", "who invoices")),
        minor("total_minor", "total of the draft"),
        boolean("is_unjudged", "judging as a whole failed: no rule was asked"),
        boolean("is_usage_late", "due although usage is still missing"),
        boolean("is_blocked", "can't be posted: no mode lets it pass"),
        null(day("issued_on", "day on which it would be issued; null: nothing could be judged")),
        null(day("due_on", "day on which it would be due")),
        floating("p_never", "P(never paid)"),
        null(boolean("is_person", "payment risk may not be used: a natural person")),
        null(minor("over_minor", "largest over-billing that judges found, >= 0")),
        null(minor("under_minor", "largest under-billing that judges found, >= 0")),
        *(null(integer(name, "see exposures")) for name in EXPOSURES),
        *(column for column in CIRCUMSTANCES.columns if column.name != "invoice_id"),
    ),
)
#: What stops a draft whatever rules say.
FACTS: Final = ("is_unjudged", "is_usage_late", "is_blocked")
#: Of a finding, what a rule reads.
READ: Final = ("detector", "code", "basis", "score", "amount_minor")
#: The findings of one draft.
FOUND: Final = pl.List(pl.Struct({name: FINDINGS.schema[name] for name in READ}))
#: All columns that are kept beside ``DECISIONS``.
KEPT: Final = pl.Schema({**GIVEN.schema, "found": FOUND})


@dataclass(frozen=True, slots=True)
class Given:
    """Decisions as a policy sees them.

    ``rows``: one a decision, columns of ``DECISIONS`` and ``GIVEN``; ``invoice_id`` numbers the
    rows as text (versions of one draft are rows of their own), ``draft_id`` is the draft.
    ``findings``: ``invoice_id`` (the row's) and ``READ``. ``left_out``: decisions of an older
    installation, which kept nothing to decide again from.
    """

    rows: pl.DataFrame
    findings: pl.DataFrame
    left_out: int = 0


def given_rows(
    drafts: pl.DataFrame, scores: pl.DataFrame, findings: pl.DataFrame, facts: pl.DataFrame
) -> pl.DataFrame:
    """Put together what is kept.

    Parameters
    ----------
    drafts : pl.DataFrame, one row per draft
        ``invoice_id, draft_version, customer_id, entity_id, total_minor``.
    scores : pl.DataFrame
        What the policy decided on; no row where nothing was judged.
    findings : pl.DataFrame
        ``FINDINGS`` that it was asked about, without those of its own rules.
    facts : pl.DataFrame
        ``invoice_id`` and the columns ``FACTS``; no row: none of them.

    Returns
    -------
    pl.DataFrame, one row per draft, same order
        ``KEPT`` but for ``run_id, decided_at``: see :func:`stamped`.
    """
    known = [name for name in GIVEN.names if name in scores.columns and name not in drafts.columns]
    listed = findings.group_by("invoice_id", maintain_order=True).agg(found=pl.struct(READ))
    rows = drafts
    for part in (scores.select("invoice_id", *known), listed, facts):
        rows = rows.join(part, on="invoice_id", how="left", maintain_order="left")
    return rows.with_columns(
        pl.col(FACTS).fill_null(value=False), pl.col("found").fill_null([]).cast(FOUND)
    )


def stamped(given: pl.DataFrame, run_id: str, decided_at: datetime) -> pl.DataFrame:
    """``KEPT`` from :func:`given_rows`: which run decided, and when."""
    dated = given.with_columns(
        run_id=pl.lit(run_id), decided_at=pl.lit(decided_at).cast(KEPT["decided_at"])
    )
    return pl.concat([GIVEN.conform(dated), given.select("found")], how="horizontal")


def given_of(
    stored: pl.LazyFrame,
    labelled: pl.DataFrame,
    since_on: date | None = None,
    *,
    circumstances: bool = True,
) -> Given:
    """Choose the decisions that a policy is asked about again.

    Of a draft the last version counts, and each earlier one that somebody had answered; of a
    version, its last decision.

    Parameters
    ----------
    stored : pl.LazyFrame
        ``DECISIONS`` and ``KEPT``; these are absent or null in decisions of an older installation.
    labelled : pl.DataFrame
        ``draft_id, draft_version`` of versions whose outcome is known.
    since_on : date or None
        Drafts that would have been issued earlier are left out.
    circumstances : bool
        False: no policy reads them, and neither does this (but for what is snoozed).
    """
    names = stored.collect_schema().names()
    if "found" not in names:
        return Given(
            _numbered(pl.DataFrame(schema=_READABLE)).drop("found"),
            _NONE_FOUND,
            stored.select(pl.len()).collect().item(),
        )
    whole = stored.select(
        pl.col(name) if name in names else pl.lit(None, dtype).alias(name)
        for name, dtype in _READABLE.items()
        if circumstances or name not in _CIRCUMSTANCES
    ).collect()
    left_out = whole["found"].null_count()
    known = whole.filter(pl.col("found").is_not_null()) if left_out else whole
    if since_on is not None:
        known = known.filter(pl.col("issued_on") >= since_on)
    rows = _numbered(_last(known, labelled))
    findings = (
        rows.select("invoice_id", "found")
        .filter(pl.col("found").list.len() > 0)
        .explode("found", empty_as_null=False, keep_nulls=False)
        .unnest("found")
    )
    return Given(rows.drop("found"), findings, left_out)


def _last(known: pl.DataFrame, labelled: pl.DataFrame) -> pl.DataFrame:
    # Ids whose hashes differ differ: a fifth of a second less for a million than to compare them.
    if known["invoice_id"].hash().n_unique() == known.height:
        return known
    keys = ["invoice_id", "draft_version"]
    answered = labelled.select(invoice_id="draft_id", draft_version="draft_version", answered=True)
    decided = known.sort("decided_at").unique(keys, keep="last", maintain_order=True)
    decided = decided.join(answered.unique(), on=keys, how="left", maintain_order="left")
    is_last = pl.int_range(pl.len()).over("invoice_id") == pl.len().over("invoice_id") - 1
    return decided.filter(is_last | pl.col("answered").fill_null(value=False)).drop("answered")


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """Short ids are compared twice as fast; versions of one draft must not be one row."""
    number = pl.int_range(pl.len()).cast(pl.String)
    return rows.rename({"invoice_id": "draft_id"}).with_columns(invoice_id=number)


#: Of a decision, what no policy reads.
_UNREAD: Final = {
    *("reasons", "model_versions", "direction", "priority", "confidence", "rules"),
    *("proposed_action", "policy_class", "days_late_p10", "days_late_p90"),
}
_CIRCUMSTANCES: Final = set(CIRCUMSTANCES.names) - {"invoice_id", "snoozed_rules"}
#: What is read back. A column that a later program added is null in what earlier ones kept.
_READABLE: Final = {
    name: dtype for name, dtype in {**DECISIONS.schema, **KEPT}.items() if name not in _UNREAD
}
_NONE_FOUND: Final = pl.DataFrame(
    schema={"invoice_id": pl.String(), **{name: FINDINGS.schema[name] for name in READ}}
)
