"""What to do with a case, and how sure: by rules at first, learnt from verdicts later. Pure.

Learnt: a ridge logistic regression says how likely the draft is wrong, calibrated on folds that it
did not see; the past of its reasons says whether wrong ones were corrected or rejected. The model
is a few numbers in JSON. In a random share of cases nothing is recommended, so that it can be
measured how often people do the same without having been told.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import polars as pl

from prebill.core.triage.resolutions import once_a_case

#: Verdicts below which rules speak, and how many of them must be of either class.
LEAST_VERDICTS: Final = 200
LEAST_OF_A_CLASS: Final = 20
#: Verdicts on a code below which it is no feature of its own.
LEAST_OF_A_CODE: Final = 15
#: Newest cases that are learnt from.
MOST_CASES: Final = 20_000
#: Below this chance no action is worth naming: look.
LEAST_CONFIDENCE: Final = 0.5
FOLDS: Final = 5
_RIDGE: Final = 1.0
_STEPS: Final = 25

LOOK: Final = "look"
RULES: Final = "rules"
VERDICTS: Final = "verdicts"
#: An exact reason of these is no matter of a correction: the document should not be. Of two equal
#: invoices one is right, so that a rule can't tell which of them to reject.
REJECTED: Final = frozenset({"duplicate_contract"})
#: Exact reasons that a rule calls an error, and the chance that it states: judgement, not measured.
STATED: Final = 0.9

_Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """``action``: release, correct, reject, or look: nothing is recommended.

    ``confidence`` is the chance that a person does the same, null for look by rules; ``basis``
    says where it comes from: rules or verdicts.
    """

    action: str
    confidence: float | None
    basis: str


@dataclass(frozen=True, slots=True)
class Recommender:
    """What was learnt, as numbers. ``brier`` and ``accuracy`` are of folds it did not see."""

    codes: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    #: Calibration of the logit: slope and intercept.
    slope: float
    shift: float
    #: Code → share of its errors that were corrected, not rejected; smoothed.
    corrected: dict[str, float]
    corrected_overall: float
    verdicts: int
    errors: int
    brier: float
    base_brier: float

    def to_json(self) -> str:
        """The stored form."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the stored form."""
        given = json.loads(text)
        tuples = ("codes", "means", "scales", "weights")
        return cls(**{**given, **{name: tuple(given[name]) for name in tuples}})


def is_withheld(case_id: str, share: float) -> bool:
    """Whether nothing is recommended for a case: decided by its id, the same at every look.

    Examples
    --------
    >>> is_withheld("case:1", 0.0), is_withheld("case:1", 1.0)
    (False, True)
    """
    digest = hashlib.sha256(f"recommendation|{case_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def recommend(
    facts: pl.DataFrame, recommender: Recommender | None, correctable: frozenset[str]
) -> Recommendation:
    """Recommend what to do with one case.

    Parameters
    ----------
    facts : pl.DataFrame
        ``FACTS`` of one case: a row a code.
    recommender : Recommender or None
        What was learnt; None: rules speak.
    correctable : frozenset of str
        Codes whose error is mended by a correction.
    """
    if recommender is None:
        return _by_rules(facts, correctable)
    (wrong,) = error_chances(once_a_case(facts), recommender).to_list()
    corrected = _corrected_share(facts, recommender)
    chances = {
        "release": 1.0 - wrong,
        "correct": wrong * corrected,
        "reject": wrong * (1.0 - corrected),
    }
    action, chance = max(chances.items(), key=lambda pair: pair[1])
    if chance < LEAST_CONFIDENCE:
        return Recommendation(LOOK, chance, VERDICTS)
    return Recommendation(action, chance, VERDICTS)


def _by_rules(facts: pl.DataFrame, correctable: frozenset[str]) -> Recommendation:
    """What an exact judge proves is an error; what is only unusual has to be looked at."""
    case = facts.row(0, named=True)
    codes = set(facts["code"].to_list())
    if not case["is_exact"]:
        return Recommendation(LOOK, None, RULES)
    stated = max(STATED, case["p_error"] or 0.0)
    if codes & REJECTED:
        return Recommendation("reject", stated, RULES)
    if codes & correctable:
        return Recommendation("correct", stated, RULES)
    return Recommendation(LOOK, None, RULES)


def _corrected_share(facts: pl.DataFrame, recommender: Recommender) -> float:
    """Share of the errors with these codes that were corrected, the mean over known codes."""
    known = [recommender.corrected[c] for c in facts["code"] if c in recommender.corrected]
    return sum(known) / len(known) if known else recommender.corrected_overall


# ── Learning ─────────────────────────────────────────────────────────────────────────────────


def learn(resolutions: pl.DataFrame) -> Recommender | None:
    """Learn from verdicts; None: there are too few, or of one kind only.

    Parameters
    ----------
    resolutions : pl.DataFrame, ``RESOLUTIONS``
        Resolved cases, whatever their order.

    Returns
    -------
    Recommender or None
        The same rows give the same model.
    """
    rows = resolutions.sort("resolved_at", "case_id", "code", descending=[True, False, False])
    cases = once_a_case(rows).head(MOST_CASES)
    errors = int((cases["verdict"] != "release").sum())
    fewest = min(errors, cases.height - errors)
    if cases.height < LEAST_VERDICTS or fewest < LEAST_OF_A_CLASS:
        return None
    codes = _frequent_codes(cases)
    matrix = _matrix(cases, codes)
    is_error = (cases["verdict"] != "release").cast(pl.Float64).to_numpy()
    means, scales = matrix.mean(axis=0), matrix.std(axis=0)
    scales = np.where(scales > 0, scales, 1.0)
    standard = (matrix - means) / scales
    weights = _logistic(standard, is_error, _RIDGE)
    unseen = _unseen_logits(standard, is_error)
    shift, slope = _logistic(unseen[:, None], is_error, 1e-3)
    chances = _sigmoid(slope * unseen + shift)
    base = is_error.mean()
    corrected, overall = _corrected_shares(rows.join(cases.select("case_id"), on="case_id"))
    return Recommender(
        codes=codes,
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        weights=tuple(weights[1:].tolist()),
        intercept=float(weights[0]),
        slope=float(slope),
        shift=float(shift),
        corrected=corrected,
        corrected_overall=overall,
        verdicts=cases.height,
        errors=errors,
        brier=float(((chances - is_error) ** 2).mean()),
        base_brier=float(base * (1.0 - base)),
    )


def error_chances(cases: pl.DataFrame, recommender: Recommender) -> pl.Series:
    """P(the draft is wrong) of each case: ``FACTS``, one row a case."""
    matrix = _matrix(cases, recommender.codes)
    standard = (matrix - np.array(recommender.means)) / np.array(recommender.scales)
    logit = standard @ np.array(recommender.weights) + recommender.intercept
    chances = _sigmoid(recommender.slope * logit + recommender.shift)
    return pl.Series("chance", chances)


def _frequent_codes(cases: pl.DataFrame) -> tuple[str, ...]:
    counts = cases.select(code=pl.col("codes").str.split(",")).explode("code")["code"]
    table = counts.value_counts().filter(pl.col("count") >= LEAST_OF_A_CODE)
    return tuple(table["code"].sort().to_list())


def _matrix(cases: pl.DataFrame, codes: tuple[str, ...]) -> _Matrix:
    """Features: P(error) and rarity as known then, size, direction, kind of judge, the codes."""
    chance = pl.col("p_error").fill_null(0.5).clip(1e-4, 1 - 1e-4)
    rarity = -(1.0 - pl.col("anomaly_score").fill_null(0.5)).clip(1e-6, 1.0).log10()
    total = pl.col("total_minor").abs().clip(1)
    share = (pl.col("amount_minor").abs().clip(1) / total).log10().clip(-4.0, 2.0)
    listed = pl.col("codes").str.split(",")
    frame = cases.select(
        chance=(chance / (1.0 - chance)).log(),
        rarity=rarity,
        share=share,
        size=total.log10(),
        is_over=(pl.col("amount_minor") > 0).cast(pl.Float64),
        is_under=(pl.col("amount_minor") < 0).cast(pl.Float64),
        is_exact=pl.col("is_exact").cast(pl.Float64),
        reasons=listed.list.len().cast(pl.Float64),
        **{f"code_{code}": listed.list.contains(code).cast(pl.Float64) for code in codes},
    )
    return frame.to_numpy().astype(np.float64)


def _unseen_logits(matrix: _Matrix, target: _Matrix) -> _Matrix:
    """Logits of each fold by a model of the others; rows are dealt out in turn."""
    fold = np.arange(len(target)) % FOLDS
    logits = np.zeros(len(target))
    for number in range(FOLDS):
        inside = fold != number
        weights = _logistic(matrix[inside], target[inside], _RIDGE)
        logits[~inside] = matrix[~inside] @ weights[1:] + weights[0]
    return logits


def _logistic(matrix: _Matrix, target: _Matrix, ridge: float) -> _Matrix:
    """Intercept and weights by Newton's method; the intercept is not shrunk."""
    design = np.column_stack([np.ones(len(target)), matrix])
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 1e-9
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = _sigmoid(design @ weights)
        gradient = design.T @ (chance - target) + penalty * weights
        spread = np.clip(chance * (1.0 - chance), 1e-6, None)
        curvature = (design * spread[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _sigmoid(logit: _Matrix) -> _Matrix:
    bounded = np.clip(logit, -30.0, 30.0)
    chances: _Matrix = 1.0 / (1.0 + np.exp(-bounded))
    return chances


def _corrected_shares(rows: pl.DataFrame) -> tuple[dict[str, float], float]:
    """How errors were answered, by code; few are pulled to the share of all."""
    wrong = rows.filter(pl.col("verdict") != "release")
    cases = once_a_case(wrong)
    overall = float((cases["verdict"] == "correct").cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    by_code = wrong.group_by("code").agg(
        count=pl.len(), corrected=(pl.col("verdict") == "correct").sum()
    )
    smoothed = by_code.select("code", share=(pl.col("corrected") + overall) / (pl.col("count") + 1))
    return dict(smoothed.sort("code").iter_rows()), overall
