"""Score a batch of drafts: features, detectors, combination, payment figures, decision rows."""

import json
from dataclasses import dataclass, field, replace

import polars as pl

from prebill.core.errors import ModelError
from prebill.core.schemas.frame import collected
from prebill.core.schemas.internal import DECISIONS, FINDINGS, GAPS
from prebill.core.scoring.circumstances import CIRCUMSTANCES, circumstances
from prebill.core.scoring.combine import (
    HEAD,
    Terms,
    anomaly_scores,
    confidence,
    error_probability,
    judges_of,
    reasons_json,
    with_money,
)
from prebill.core.scoring.detectors import DETECTORS, Detector, Judged, Scene
from prebill.core.scoring.detectors.base import COULD_NOT_JUDGE, findings_of
from prebill.core.scoring.exposure import EXPOSURES, Receivables, exposures, may_be_asked
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models
from prebill.core.scoring.models.error_risk import TAIL
from prebill.core.scoring.models.forest import Forest
from prebill.core.scoring.norms import Norms
from prebill.core.scoring.payments import NOT_FOR_PERSONS, payers_of, payment_figures
from prebill.core.scoring.profiles import Everybody
from prebill.core.scoring.scene import FEATURE_ROW, scene_of, with_forest
from prebill.core.scoring.tails import Learning

#: Columns of a draft that money, policy and reasons need.
_OF_DRAFT = ("invoice_id", "customer_id", "currency", "issued_on", "due_on", "total_minor", "known")
_NOT_ASKED = {"payment_risk": NOT_FOR_PERSONS}
#: What a detector that failed says; the policy's failure matrix names the action.
_FAILED = "the judge {} could not judge this draft: {}"


@dataclass(frozen=True, slots=True)
class Scored:
    """Decisions and everything they rest on.

    ``scores``: what the policy decided on, with ``CIRCUMSTANCES`` and ``EXPOSURES``; no row where
    nothing was judged.
    """

    decisions: pl.DataFrame
    findings: pl.DataFrame
    feature_rows: pl.DataFrame
    gaps: pl.DataFrame
    scores: pl.DataFrame = field(default_factory=CIRCUMSTANCES.empty)
    notes: list[str] = field(default_factory=list)


def score(
    inputs: ScoringInputs,
    models: Models,
    policy: Terms,
    norms: Norms | None = None,
    everybody: Everybody | None = None,
) -> Scored:
    """Judge a batch of drafts.

    Parameters
    ----------
    inputs : ScoringInputs
        History, drafts and what is known beside them.
    models : Models
        Fitted on rows before the first draft; empty models mean stated rules.
    policy : Terms
        Prior, costs, and the rules that turn scores into actions.
    norms : Norms or None
        What is ordinary, from :func:`learn`; None: learnt from the history of ``inputs``.
    everybody : Everybody or None
        What the whole company's invoices had, where ``inputs`` hold some customers only.

    Returns
    -------
    Scored
        ``decisions`` (``DECISIONS``, one row a draft), ``findings``, ``feature_rows``
        (``invoice_id`` and named Float64 columns), ``gaps``.
    """
    return score_scene(scene_of(inputs, norms, everybody), models, policy)


def learn(inputs: ScoringInputs, forest: Forest | None) -> Norms:
    """Learn what is ordinary from the history of ``inputs``, for drafts that come later.

    Parameters
    ----------
    inputs : ScoringInputs
        The history of the company, or of enough customers to stand for it; drafts are left out.
    forest : Forest or None
        The level model that will judge the drafts.
    """
    scene = scene_of(replace(inputs, drafts=Books(), agreements=None))
    learning = Learning()
    answers = _answers(replace(scene, forest=forest, tails=learning), DETECTORS)
    tails = _tails(scene, answers)
    judges = judges_of(tails)
    anomaly_scores(tails, judges, learning)
    payers = payers_of(scene.inputs)
    return replace(scene.norms, tails=learning.learnt(), judges=judges, payers=payers)


def score_scene(
    scene: Scene, models: Models, policy: Terms, detectors: tuple[Detector, ...] = DETECTORS
) -> Scored:
    """Judge drafts whose features are computed already; see :func:`score`."""
    is_learnt = bool(scene.norms.judges)
    scene = with_forest(scene if is_learnt else replace(scene, tails=Learning()), models.forest)
    answers = _answers(scene, detectors)
    tails = _tails(scene, answers)
    judges = scene.norms.judges if is_learnt else judges_of(tails)
    anomalies = anomaly_scores(tails, judges, scene.tails)
    said = [answer.findings for answer in answers.values() if not answer.findings.is_empty()]
    findings = pl.concat([FINDINGS.empty(), *said, _unjudged(anomalies)])
    gaps = pl.concat([GAPS.empty(), *(answer.gaps for answer in answers.values())])
    seen = _feature_rows(scene, tails)
    chances = _error_chances(seen, anomalies, models, policy)
    payment = payment_figures(
        scene.inputs,
        models,
        everyone=scene.norms.payers if is_learnt else None,
        judges_persons=policy.judges_persons,
    )
    plan = scene.drafts.lazy().select(*_OF_DRAFT, confidence=confidence(pl.col("known")))
    for part in (chances.frame, payment.figures, circumstances(scene)):
        plan = plan.join(part.lazy(), on="invoice_id", how="left", maintain_order="left")
    known = collected(plan)
    known = known.with_columns(review_minutes=policy.minutes(known))
    scores = with_money(known, findings, policy)
    scores, reasons = _reasons(scores, scene, policy, is_learnt=is_learnt)
    findings = pl.concat([findings, reasons])
    versions = {**models.versions, **payment.versions, **chances.versions}
    decisions = _decisions(scores, findings, policy, versions)
    notes = [*payment.notes, *chances.notes]
    return Scored(decisions, findings, seen, gaps, scores, notes)


def _answers(scene: Scene, detectors: tuple[Detector, ...]) -> dict[str, Judged]:
    return {detector.name: _judge(detector, scene) for detector in detectors}


def _tails(scene: Scene, answers: dict[str, Judged]) -> pl.DataFrame:
    """One row an invoice: ``HEAD`` and a column a detector."""
    tails = scene.rows.select(HEAD)
    for name, answer in answers.items():
        tails = _with_tail(tails, answer.tails.rename({"tail": name}))
    return tails


def _with_tail(tails: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Join one detector's tails; most are in the order of the rows, so that nothing is sought."""
    if own.is_empty():
        return tails.hstack([own.to_series(1).extend_constant(None, tails.height)])
    if own["invoice_id"].equals(tails["invoice_id"]):
        return tails.hstack([own.to_series(1)])
    return tails.join(own, on="invoice_id", how="left", maintain_order="left")


def _decisions(
    scores: pl.DataFrame, findings: pl.DataFrame, policy: Terms, versions: dict[str, str]
) -> pl.DataFrame:
    """Rows of ``DECISIONS``: the policy's action beside the scores and their reasons."""
    named = {**({"forest": "rule"} if "forest" not in versions else {}), **versions}
    actions = policy.decide(scores, findings)
    plan = scores.lazy()
    for part in (actions, reasons_json(findings)):
        plan = plan.join(part.lazy(), on="invoice_id", how="left", maintain_order="left")
    return DECISIONS.conform(
        collected(
            plan.with_columns(
                pl.col("reasons").fill_null("[]"),
                model_versions=pl.when("is_person")
                .then(pl.lit(json.dumps({**named, **_NOT_ASKED}, sort_keys=True)))
                .otherwise(pl.lit(json.dumps(named, sort_keys=True))),
                policy_hash=pl.lit(policy.digest),
            )
        )
    )


def _judge(detector: Detector, scene: Scene) -> Judged:
    """Ask one detector; what it raises becomes a finding on every draft, never a silent pass."""
    if detector.reads_usage and scene.usage.is_empty():
        return Judged()
    try:
        return detector.judge(scene)
    except Exception as error:
        return Judged(findings=_could_not_judge(scene.drafts, detector.name, error))


def _could_not_judge(drafts: pl.DataFrame, judge: str, error: Exception) -> pl.DataFrame:
    reason = f"{type(error).__name__}: {error}"[:300]
    findings = drafts.select(
        "invoice_id",
        score=pl.lit(None, dtype=pl.Float64),
        basis=pl.lit(COULD_NOT_JUDGE),
        code=pl.lit("could_not_judge"),
        text=pl.lit(_FAILED.format(judge, reason)),
    )
    return findings_of(findings, judge)


def _reasons(
    scores: pl.DataFrame, scene: Scene, policy: Terms, *, is_learnt: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores with ``EXPOSURES``, and what the policy's rules say themselves.

    What fails becomes a finding on every draft.
    """
    inputs = scene.inputs
    # A shard may hold no payment though the company has some: its norms know.
    are_known = scene.norms.payers is not None
    if not is_learnt:
        are_known = not (inputs.payments.is_empty() and inputs.credit_notes.is_empty())
    issued = inputs.history.invoices if inputs.owed is None else inputs.owed
    books = Receivables(issued, inputs.payments, inputs.credit_notes, are_known=are_known)
    exposed = scores.with_columns(pl.lit(None, dtype).alias(n) for n, dtype in EXPOSURES.items())
    try:
        said = exposures(scores.filter(may_be_asked()), books)
        exposed = scores.join(said, on="invoice_id", how="left", maintain_order="left")
        return exposed, policy.reasons(exposed, books)
    except Exception as error:
        return exposed, _could_not_judge(scores, "policy", error)


def _unjudged(anomalies: pl.DataFrame) -> pl.DataFrame:
    """A draft without any score says why."""
    if not anomalies["anomaly_score"].null_count():
        return FINDINGS.empty()
    silent = anomalies.filter(pl.col("anomaly_score").is_null()).select(
        "invoice_id",
        score=pl.col("anomaly_score"),
        basis=pl.lit(COULD_NOT_JUDGE),
        code=pl.lit("no_basis_to_compare"),
        text=pl.lit("neither earlier invoices nor a batch of peers to compare with"),
    )
    return findings_of(silent, "combination")


def _feature_rows(scene: Scene, tails: pl.DataFrame) -> pl.DataFrame:
    """``invoice_id`` and the columns of ``FEATURE_ROW``; a judge that wasn't asked has no tail."""
    asked = tails.select("invoice_id", pl.exclude(HEAD).name.prefix(TAIL))
    rows = scene.drafts.join(asked, on="invoice_id", how="left", maintain_order="left")
    known = [
        pl.col(name) if name in rows.columns else pl.lit(None).alias(name) for name in FEATURE_ROW
    ]
    return rows.select("invoice_id", *[column.cast(pl.Float64) for column in known])


@dataclass(frozen=True, slots=True)
class _Chances:
    """``invoice_id, anomaly_score, p_error, p_error_basis`` a draft, and what to say of them."""

    frame: pl.DataFrame
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _error_chances(
    seen: pl.DataFrame, anomalies: pl.DataFrame, models: Models, terms: Terms
) -> _Chances:
    """P(error) as labels taught it; without a model, or where it fails, from the stated prior."""
    rows = seen.join(anomalies, on="invoice_id", how="left", maintain_order="left")
    stated = rows.select(
        "invoice_id",
        "anomaly_score",
        p_error=error_probability(pl.col("anomaly_score"), terms),
        p_error_basis=pl.lit("prior"),
    )
    if models.error_risk is None:
        return _Chances(stated)
    try:
        learnt = models.error_risk.predict(rows)
    except ModelError as error:
        note = f"P(error) is a stated prior, for its model can't answer: {error}"
        return _Chances(stated, {"error_risk": "prior"}, [note])
    rung = {"error_rung": models.error_risk.rung.value}
    return _Chances(stated.with_columns(learnt, p_error_basis=pl.lit("labels")), rung)
