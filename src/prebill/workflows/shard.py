"""One shard of a run, as a pure function: what was gathered in, everything to be stored out.

Meter, price (what billing was told, and beside it what the contract says), judge, decide, post.
No clock, no database: the same inputs give the same result, on any worker, as often as needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import polars as pl

from prebill.bootstrap import Judges
from prebill.core.accounting import journal
from prebill.core.billing.contracts import Agreed, agreed
from prebill.core.billing.dedupe import conflict_findings
from prebill.core.billing.finality import finality, late_findings
from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.invoicing import Billed, bill, unbilled_terms, windows
from prebill.core.billing.metering import Metered, dedupe, meter_usage, usage_days
from prebill.core.calendar import Period, date_in_zone
from prebill.core.schemas.internal import DRAFT_LINES, DRAFTS, GAPS, SKIPS, USAGE_DAYS
from prebill.core.scoring.announced import terms_of
from prebill.core.scoring.detectors import DETECTORS, Detector, Scene
from prebill.core.scoring.frames import SNOOZES, Agreements, Books, ScoringInputs
from prebill.core.scoring.norms import Norms
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import Scored, score_scene
from prebill.core.scoring.shadow import Answers
from prebill.workflows.corrections import (
    Corrections,
    with_one_off_lines,
    with_quantities,
    without_repeats,
)
from prebill.workflows.decisions import (
    asked_again,
    cannot_judge,
    given,
    late_and_blocked,
    readiness,
    with_billing_findings,
)

Lap = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ShardInputs:
    """Everything known about some customers as of the run's instant."""

    period: Period
    as_of_at: datetime
    billing: BillingInputs
    contract_terms: pl.DataFrame
    entitlements: pl.DataFrame
    accounting_periods: pl.DataFrame
    ledger: journal.Ledger
    events: pl.DataFrame
    #: ``meter, source, watermark_on`` of sources that have not delivered the whole period.
    late_sources: pl.DataFrame
    #: Usage by day before these events.
    earlier_days: pl.DataFrame
    history: Books
    payments: pl.DataFrame
    credit_notes: pl.DataFrame
    #: Of the whole company.
    disputes: pl.DataFrame
    #: What is ordinary in the company; None: learnt from the history above.
    norms: Norms | None
    corrections: Corrections
    #: The same for the challenger; None: nothing is scored in shadow.
    challenger_norms: Norms | None = None
    #: ``customer_id, rule_id`` of rules that are snoozed.
    snoozes: pl.DataFrame = field(default_factory=SNOOZES.clone)


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What is stored of a shard. ``postings`` exist for every draft that can be posted."""

    drafts: pl.DataFrame
    lines: pl.DataFrame
    skips: pl.DataFrame
    quantities: pl.DataFrame
    decisions: pl.DataFrame
    findings: pl.DataFrame
    feature_rows: pl.DataFrame
    gaps: pl.DataFrame
    postings: pl.DataFrame
    #: ``draft_id, is_final, late_text``.
    finality: pl.DataFrame
    #: Whether the grace of an entity has passed: what is missing now will not come by itself.
    is_grace_over: bool
    counts: dict[str, int]
    #: What the policy was given (``given_rows``), to decide again by another one.
    given: pl.DataFrame
    #: What a challenger would have said; None: there is none, or it could not judge.
    shadow: Answers | None = None


def judge(inputs: ShardInputs, judges: Judges, lap: Lap = lambda _: None) -> ShardResult:
    """Bill and judge the customers of a shard.

    Parameters
    ----------
    inputs : ShardInputs
        What was gathered.
    judges : Judges
        Policy and models.
    lap : callable
        Told the name of each stage when it ends; the shell measures with it.

    Returns
    -------
    ShardResult
        Frames sorted by draft; every draft has exactly one decision.
    """
    deduped = dedupe(inputs.events)
    once = without_repeats(deduped.events, inputs.billing, inputs.period, inputs.corrections)
    signed = agreed(inputs.billing, inputs.contract_terms, inputs.corrections.quantities)
    metered = _meter(inputs, signed, once)
    days = pl.concat([inputs.earlier_days, usage_days(once)])
    lap("meter")
    billed, expected = _price(inputs, signed, metered)
    clashing = conflict_findings(deduped, billed.drafts, billed.lines)
    billed = replace(billed, findings=pl.concat([billed.findings, clashing]))
    lap("price")
    scored, shadow = _judged(inputs, billed, expected, days, judges=judges)
    lap("score")
    final = _finality(inputs, billed)
    posted, blockers = _post(inputs, billed)
    late = late_findings(final)
    waiting = final.filter(~pl.col("is_final"), pl.col("late_text").is_not_null())
    findings = pl.concat([billed.findings, late, blockers])
    asked = scored.scores
    if asked.is_empty():
        asked = asked_again(scored.decisions, billed.drafts)
    decided = with_billing_findings(scored.decisions, asked, billed.findings, judges.policy)
    decisions = late_and_blocked(decided, late, blockers, judges.policy)
    skips = pl.concat([billed.skips, unbilled_terms(expected, billed)])
    findings = pl.concat([scored.findings, findings])
    kept = billed.drafts.select(
        "customer_id",
        "entity_id",
        "total_minor",
        invoice_id="draft_id",
        draft_version="version",
    )
    kept = given(scored, kept, findings, judges.policy)
    lap("post")
    return ShardResult(
        drafts=billed.drafts.sort("draft_id"),
        lines=billed.lines.sort("draft_id", "line_id"),
        skips=skips.unique(SKIPS.key, keep="first").sort(SKIPS.key),
        quantities=metered.quantities,
        decisions=decisions.sort("invoice_id"),
        findings=findings.sort("invoice_id", "detector", "code"),
        feature_rows=scored.feature_rows.sort("invoice_id"),
        gaps=scored.gaps.sort(GAPS.key),
        postings=posted,
        finality=final,
        is_grace_over=_is_grace_over(inputs),
        counts={
            "events": inputs.events.height,
            "metered_events": metered.metered_events,
            "unmatched_events": metered.unmatched.height,
            "duplicate_events": deduped.duplicates + deduped.events.height - once.height,
            "conflicting_events": deduped.conflicts.height,
            "waiting_for_usage": waiting.height,
            "shadow_scores": 0 if shadow is None else shadow.challenger.height,
        },
        given=kept.sort("invoice_id"),
        shadow=shadow,
    )


def _meter(inputs: ShardInputs, signed: Agreed, events: pl.DataFrame) -> Metered:
    """Quantities of what is billed and of what the contracts say, in one pass over the events."""
    asked = pl.concat([windows(inputs.billing, inputs.period), signed.windows(inputs.period)])
    return meter_usage(events, inputs.billing.meters, asked)


def _price(inputs: ShardInputs, signed: Agreed, metered: Metered) -> tuple[Billed, Billed]:
    corrected = with_quantities(metered.quantities, inputs.corrections)
    billed = bill(inputs.billing, corrected, inputs.period)
    expected = signed.bill(billed, corrected, inputs.period)
    return with_one_off_lines(billed, inputs.corrections), expected


def _judged(
    inputs: ShardInputs, billed: Billed, expected: Billed, days: pl.DataFrame, *, judges: Judges
) -> tuple[Scored, Answers | None]:
    """Scores and decisions; where judging itself fails, every draft needs a person."""
    drafts = billed.drafts
    if judges.failure:
        return cannot_judge(drafts, judges.policy, f"models can't be used: {judges.failure}"), None
    planned = planned_issue_dates(inputs)
    questions = ScoringInputs(
        history=inputs.history,
        drafts=as_books(drafts, billed.lines, planned),
        customers=inputs.billing.customers,
        payments=inputs.payments,
        credit_notes=inputs.credit_notes,
        disputes=inputs.disputes,
        usage_days=USAGE_DAYS.conform(days),
        agreements=Agreements(
            drafts=drafts,
            draft_lines=billed.lines,
            expected_drafts=expected.drafts,
            expected_lines=expected.lines,
            entitlements=inputs.entitlements,
            contracts=inputs.billing.contracts,
            subscriptions=inputs.billing.subscriptions,
        ),
        snoozes=inputs.snoozes,
        terms=terms_of(inputs.billing.subscriptions, inputs.billing.phases, inputs.contract_terms),
    )
    try:
        scene = scene_of(questions, inputs.norms)
        scored = score_scene(scene, judges.models, judges.policy)
    except Exception as error:  # fail closed: a judge that raises never lets a draft pass
        return cannot_judge(drafts, judges.policy, f"scoring failed: {error!r}"), None
    return scored, in_shadow(scene, scored, judges, inputs.challenger_norms)


def in_shadow(
    scene: Scene,
    scored: Scored,
    judges: Judges,
    norms: Norms | None,
    detectors: tuple[Detector, ...] = DETECTORS,
) -> Answers | None:
    """Let a challenger judge the same drafts by the same features; it changes no action.

    Parameters
    ----------
    scene, scored
        The drafts as the champion saw them, and what it said.
    judges : Judges
        With the challenger; None: there is nothing to ask.
    norms : Norms or None
        What is ordinary as the challenger's forest sees it; None: not learnt.
    detectors : tuple of Detector
        Those that the champion asked.

    Returns
    -------
    Answers or None
        A challenger that raises costs nothing: its scores are absent, which a run counts.
    """
    if judges.challenger is None or norms is None:
        return None
    asked = replace(scene, norms=norms, tails=norms.tails)
    try:
        other = score_scene(asked, judges.challenger, judges.policy, detectors)
    except Exception:
        return None
    versions = (judges.models.versions, judges.challenger.versions)
    return Answers(scored.decisions, other.decisions, versions)


def planned_issue_dates(inputs: ShardInputs) -> dict[str, date]:
    """The date on which each entity would issue now: the run's instant in the entity's zone."""
    zones = inputs.billing.entities.select("entity_id", "time_zone").iter_rows()
    return {entity: date_in_zone(inputs.as_of_at, zone) for entity, zone in zones}


def as_books(drafts: pl.DataFrame, lines: pl.DataFrame, issued_on: dict[str, date]) -> Books:
    """Drafts in the shape of the gate, so that run and gate are judged by the same code."""
    dated = drafts.with_columns(
        issued_on=pl.col("entity_id").replace_strict(
            issued_on, default=None, return_dtype=pl.Date()
        )
    )
    invoices = dated.select(
        pl.col("draft_id").alias("invoice_id"),
        "customer_id",
        pl.col("entity_id").alias("legal_entity"),
        "currency",
        "issued_on",
        due_on=pl.col("issued_on").dt.offset_by(pl.format("{}d", pl.col("payment_terms_days"))),
        payment_terms=pl.col("payment_terms_days").cast(pl.String),
        period_start_on="period_start_on",
        period_end_on="period_end_on",
        subtotal_minor="subtotal_minor",
        tax_minor="tax_minor",
        total_minor="total_minor",
    )
    return Books(invoices, gate_lines(lines))


def gate_lines(lines: pl.DataFrame) -> pl.DataFrame:
    """Draft lines in the shape of the gate's invoice lines; the product is the charge."""
    return lines.select(
        pl.col("draft_id").alias("invoice_id"),
        "line_id",
        pl.col("charge_id").alias("product"),
        "quantity",
        "unit_price",
        "amount_minor",
        "tax_code",
        "tax_minor",
    )


def _finality(inputs: ShardInputs, billed: Billed) -> pl.DataFrame:
    return finality(
        billed.drafts,
        billed.lines,
        inputs.late_sources,
        inputs.billing.entities,
        period=inputs.period,
        today=planned_issue_dates(inputs),
    )


def _is_grace_over(inputs: ShardInputs) -> bool:
    planned = planned_issue_dates(inputs)
    rows = inputs.billing.entities.select("entity_id", "grace_days").iter_rows()
    end_on = inputs.period.end_on
    return any((planned[entity] - end_on).days >= grace for entity, grace in rows)


def _post(inputs: ShardInputs, billed: Billed) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Postings of what can be posted, and findings that say why the rest can't."""
    drafts, lines = DRAFTS.conform(billed.drafts), DRAFT_LINES.conform(billed.lines)
    reasons = journal.unpostable(drafts, lines, inputs.ledger).findings
    good = drafts.join(reasons, on="draft_id", how="anti")
    its_lines = lines.join(good.select("draft_id"), on="draft_id", how="semi")
    posted = journal.postings(good, its_lines, inputs.ledger)
    planned = planned_issue_dates(inputs)
    return posted, readiness(drafts, reasons, inputs.accounting_periods, planned)
