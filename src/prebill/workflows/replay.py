"""Derive a stored decision again and compare: what is equal, what differs, what can't be derived.

From what was stored with it: draft, feature row, models, P(error), money, policy; equal to the
byte. From the raw facts, if asked: everything of its run's shard; numbers equal within 1e-9.
Nothing is written.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import polars as pl

from prebill.bootstrap import Installation, Judges
from prebill.core.billing.drafts import versions_of
from prebill.core.billing.findings import DETECTOR as BILLING
from prebill.core.errors import ConflictError, ModelError, NotFoundError
from prebill.core.policy.decide import SNOOZED
from prebill.core.policy.model import Policy
from prebill.core.schemas.internal import DECISIONS
from prebill.core.scoring.combine import error_probability, with_money
from prebill.core.scoring.models.error_risk import SCORE
from prebill.core.scoring.scene import FEATURE_ROW
from prebill.store.judgements import GATE_RUN
from prebill.store.replay import StoredDecision, stored_decision
from prebill.workflows.bill import computed_again
from prebill.workflows.corrections import ONE_OFF, SAID, version_with
from prebill.workflows.decisions import FAILED, READINESS, decided_again
from prebill.workflows.rows import feature_hashes
from prebill.workflows.shard import ShardResult

#: Numbers from raw facts are equal within this, of themselves or of one.
TOLERANCE: Final = 1e-9
#: Differences that are told one by one.
SHOWN: Final = 10
_MODELS: Final = ("forest", "payment_risk", "error_risk")
_DIGEST_CHARACTERS: Final = 64
#: Columns of a decision that were added later.
_NEWER: Final = frozenset({"proposed_action", "rules", "policy_class"})


class Outcome(StrEnum):
    """What a comparison gave."""

    SAME = "same"
    DIFFERS = "DIFFERS"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Check:
    """One part of a decision: what came of deriving it again, and why in words."""

    part: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision with its checks."""

    draft_id: str
    draft_version: str
    run_id: str
    decided_at: str
    checks: tuple[Check, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs. What was left out is no difference."""
        return all(check.outcome is not Outcome.DIFFERS for check in self.checks)


def replay(
    opened: Installation,
    name: str,
    *,
    version: str | None = None,
    policy: Policy | None = None,
    from_facts: bool = False,
) -> Replay:
    """Derive the decision on a draft (id of draft, case or document) again.

    The policy is found by the hash that the decision names; ``policy`` is for one whose text was
    never kept. ``from_facts``: the run's shard is computed again too.

    Raises
    ------
    NotFoundError
        There is no such decision.
    """
    with opened.store.read() as tx:
        stored = stored_decision(tx, name, version)
    judges = opened.load_judges()
    features = _feature_row(opened, stored)
    checks = [_draft(stored), _features(stored, features), _models(stored, judges)]
    known = policy or opened.policy_of(stored.decision["policy_hash"].item()) or judges.policy
    checks += _by_policy(stored, features, judges, known)
    if from_facts:
        checks += _facts(opened, stored, features)
    return Replay(
        stored.draft_id,
        stored.draft_version,
        stored.kept["run_id"],
        stored.kept["decided_at"],
        tuple(checks),
    )


def _compared(part: str, pairs: dict[str, tuple[object, object]], what: str) -> Check:
    """Compare named values (stored, again) exactly."""
    off = [f"{n}: stored {one!r}, again {two!r}" for n, (one, two) in pairs.items() if one != two]
    if off:
        return Check(part, Outcome.DIFFERS, "; ".join(off))
    return Check(part, Outcome.SAME, what)


# ── From what was stored ─────────────────────────────────────────────────────────────────────


def _draft(stored: StoredDecision) -> Check:
    if stored.draft.is_empty():
        return Check(
            "draft", Outcome.LEFT_OUT, "another engine drafted it; only its lines are kept here"
        )
    is_added = pl.col("charge_id") == ONE_OFF
    again = str(versions_of(stored.draft, stored.lines.filter(~is_added))["version"].item())
    added = stored.lines.filter(is_added)
    if not added.is_empty():
        again = version_with(again, str(added.select(SAID).item()))
    sums = stored.lines.select(pl.col("amount_minor", "tax_minor").sum()).row(0)
    head = stored.draft.row(0, named=True)
    pairs: dict[str, tuple[object, object]] = {
        "version": (stored.kept["draft_hash"], again),
        "subtotal_minor": (head["subtotal_minor"], sums[0]),
        "tax_minor": (head["tax_minor"], sums[1]),
        "total_minor": (head["total_minor"], sum(sums)),
    }
    return _compared("draft", pairs, f"{stored.lines.height} lines, totals and hash of the content")


def _feature_row(opened: Installation, stored: StoredDecision) -> pl.DataFrame | None:
    """The stored feature row in the columns of this program; None: there is none."""
    if not stored.feature_batches:
        return None
    with opened.lake.reading():
        rows = opened.lake.scan("feature_rows", stored.feature_batches)
        mine = pl.col("invoice_id") == stored.draft_id
        if stored.kept["run_id"] == GATE_RUN:  # the hook judges every version that comes
            mine &= pl.col("draft_version") == stored.draft_version
        found = rows.filter(mine).unique("invoice_id").collect()
    names = FEATURE_ROW if _is_judged(stored) else ()  # where judging failed, there are none
    absent = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in found.columns]
    whole = found.with_columns(absent).select("invoice_id", *names)
    return None if whole.is_empty() else whole


def _is_judged(stored: StoredDecision) -> bool:
    return stored.findings.filter(pl.col("detector") == FAILED).is_empty()


def _features(stored: StoredDecision, features: pl.DataFrame | None) -> Check:
    if features is None:
        is_hook = stored.kept["run_id"] == GATE_RUN
        text = "not in the lake yet: ask in ten minutes" if is_hook else "a correction keeps none"
        return Check("feature row", Outcome.LEFT_OUT, text)
    again = feature_hashes(features)["feature_hash"].item()
    pairs: dict[str, tuple[object, object]] = {"hash": (stored.kept["feature_hash"], again)}
    return _compared("feature row", pairs, f"{features.width - 1} features by their hash")


def _models(stored: StoredDecision, judges: Judges) -> Check:
    """Whether the models that judged are those at hand, by the digest of their bytes."""
    if judges.failure:
        return Check("models", Outcome.LEFT_OUT, judges.failure)
    used = {n: v for n, v in _versions(stored).items() if n in _MODELS}
    asked = {n: v for n, v in used.items() if len(v) == _DIGEST_CHARACTERS}
    other = [n for n, digest in asked.items() if judges.models.versions.get(n) != digest]
    if other:
        text = f"not the present ones: {', '.join(other)}; what they said is taken as stored"
        return Check("models", Outcome.LEFT_OUT, text)
    return Check("models", Outcome.SAME, ", ".join(asked) or "none was used: stated rules")


def _versions(stored: StoredDecision) -> dict[str, str]:
    return dict(json.loads(stored.decision["model_versions"].item()))


def _by_policy(
    stored: StoredDecision, features: pl.DataFrame | None, judges: Judges, policy: Policy
) -> Iterator[Check]:
    """What follows from the stored scores under the policy that decided."""
    decision = stored.decision.row(0, named=True)
    if policy.digest != decision["policy_hash"]:
        text = (
            f"the policy that decided ({decision['policy_hash'][:12]}) was not kept, and is not "
            f"{policy.digest[:12]}: name its file with --policy"
        )
        yield Check("policy", Outcome.LEFT_OUT, text)
        return
    yield Check("policy", Outcome.SAME, f"{policy.name} {policy.digest[:12]}")
    if _is_judged(stored):
        yield _p_error(stored, features, judges, policy)
        yield _money(stored, policy)
    if policy.ruling.reads_circumstances or SNOOZED in (decision["rules"] or ""):
        text = "the policy asks what is not stored with a decision: --facts computes it again"
        yield Check("decision", Outcome.LEFT_OUT, text)
        return
    again = decided_again(stored.decision, stored.totals, stored.findings, policy)
    row = again.row(0, named=True)
    pairs: dict[str, tuple[object, object]] = {
        name: (decision[name], row[name])
        for name in ("action", "proposed_action", "reasons")
        if name not in _kept_since(decision)
    }
    if decision["action"] == "release":
        chance = stored.decision.select(policy.sampling.propensity(pl.col("anomaly_score")))
        pairs["sample_propensity"] = (stored.sample_propensity, chance.item())
    text = f"{decision['action']} with {len(json.loads(decision['reasons']))} reasons"
    yield _compared("decision", pairs, f"{text}, from scores and findings")


def _p_error(
    stored: StoredDecision, features: pl.DataFrame | None, judges: Judges, policy: Policy
) -> Check:
    """P(error) from the stored anomaly score and features."""
    said = stored.decision["p_error"].item()
    if stored.decision["p_error_basis"].item() == "prior":
        again = stored.decision.select(error_probability(pl.col(SCORE), policy)).item()
        return _compared("P(error)", {"p_error": (said, again)}, "from score and stated prior")
    model = judges.models.error_risk
    is_other = judges.models.versions.get("error_risk") != _versions(stored).get("error_risk")
    if features is None or model is None or is_other:
        return Check("P(error)", Outcome.LEFT_OUT, "needs its feature row and its model")
    rows = features.join(stored.decision.select("invoice_id", SCORE), on="invoice_id")
    try:
        again = model.predict(rows).item()
    except ModelError as error:
        return Check("P(error)", Outcome.LEFT_OUT, str(error))
    return _compared("P(error)", {"p_error": (said, again)}, "from features and model")


def _money(stored: StoredDecision, policy: Policy) -> Check:
    """Direction and priority; the part of the loss that is P(never paid) needs the facts."""
    by_judges = ~pl.col("detector").is_in([BILLING, READINESS])
    asked = stored.totals.rename({"draft_id": "invoice_id"}).join(
        stored.decision.select("invoice_id", "currency", "p_error", "policy_class"),
        on="invoice_id",
    )
    asked = asked.with_columns(
        p_never=pl.lit(None, dtype=pl.Float64),
        review_minutes=policy.minutes_of(pl.col("policy_class")),
    )
    money = with_money(asked, stored.findings.filter(by_judges), policy).row(0, named=True)
    decision = stored.decision.row(0, named=True)
    pairs: dict[str, tuple[object, object]] = {
        name: (decision[name], money[name]) for name in ("direction", "priority")
    }
    return _compared("money", pairs, "direction and priority, from P(error) and findings")


# ── From the raw facts ───────────────────────────────────────────────────────────────────────


def _facts(
    opened: Installation, stored: StoredDecision, features: pl.DataFrame | None
) -> Iterator[Check]:
    """Compute the run's shard again from what the run was frozen to."""
    if stored.draft.is_empty() or not stored.feature_batches:
        text = "only a run is frozen to its facts; the gate or a correction decided this"
        yield Check("facts", Outcome.LEFT_OUT, text)
        return
    try:
        customer = stored.draft["customer_id"].item()
        result = computed_again(opened, stored.kept["run_id"], customer)
    except (ConflictError, NotFoundError) as error:
        yield Check("facts", Outcome.LEFT_OUT, str(error))
        return
    yield from _against(stored, features, result)


def _against(
    stored: StoredDecision, features: pl.DataFrame | None, result: ShardResult
) -> Iterator[Check]:
    mine = pl.col("invoice_id") == stored.draft_id
    versions = result.drafts.filter(pl.col("draft_id") == stored.draft_id)["version"].to_list()
    pairs: dict[str, tuple[object, object]] = {"version": ([stored.draft_version], versions)}
    yield _compared("draft from facts", pairs, "metered, priced and taxed again: equal content")
    rows = result.feature_rows.filter(mine)
    if features is not None and not rows.is_empty():
        again = rows.select(features.columns)
        yield _near("features from facts", features.row(0, named=True), again.row(0, named=True))
    decided = result.decisions.filter(mine)
    if not decided.is_empty():
        kept = stored.decision.row(0, named=True)
        asked = {name: value for name, value in kept.items() if name not in _kept_since(kept)}
        yield _near("decision from facts", asked, DECISIONS.conform(decided).row(0, named=True))


def _kept_since(decision: dict[str, Any]) -> frozenset[str]:
    """Columns that an older program did not keep with the decision."""
    return frozenset() if decision["proposed_action"] else _NEWER


def _near(part: str, stored: dict[str, Any], again: dict[str, Any]) -> Check:
    """Compare rows: numbers within the tolerance, everything else exactly; differences listed."""
    off = [
        f"{name}: stored {value!r}, again {again[name]!r}"
        for name, value in stored.items()
        if not _is_near(value, again[name])
    ]
    if not off:
        return Check(part, Outcome.SAME, f"{len(stored) - 1} values, numbers within {TOLERANCE:g}")
    more = f"; and {len(off) - SHOWN} more" if len(off) > SHOWN else ""
    return Check(part, Outcome.DIFFERS, "; ".join(off[:SHOWN]) + more)


def _is_near(one: object, two: object) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return one == two or abs(one - two) <= TOLERANCE * max(1.0, abs(one))
    return one == two
