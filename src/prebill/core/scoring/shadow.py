"""What a challenger would have said of live drafts, beside what the champion said. Pure.

A shadow score has no effect. Later outcomes tell which of the two was right, on the random sample
of released drafts and on payments, never on what the champion itself chose to hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.schemas.frame import Frame, floating, text
from prebill.core.scoring.comparison import Gain, paired

SHADOW_SCORES: Final = Frame(
    "shadow_scores",
    "What a challenger would have said of a draft, beside what the champion said of it.",
    ("draft_id", "draft_version", "run_id", "model"),
    (
        text("draft_id", "draft"),
        text("draft_version", "version judged"),
        text("run_id", "run that judged it"),
        text("customer_id", "who pays"),
        text("model", "which model was challenged"),
        text("digest", "the challenger's"),
        text("champion_digest", "the champion's; empty: a stated rule"),
        text("challenged", "all models challenged at once, comma separated: they act together"),
        text("action", "what it would have led to: release, review, hold"),
        text("champion_action", "what it did lead to by score and policy"),
        floating("anomaly_score", "[0, 1], high = unusual"),
        floating("champion_anomaly_score", "the champion's"),
        floating("p_error", "P(error) by the challenger"),
        floating("champion_p_error", "the champion's"),
        floating("p_late", "P(settled after due_on) by the challenger"),
        floating("champion_p_late", "the champion's"),
        floating("days_late_p10", "10th percentile of days after due"),
        floating("days_late_p50", "median"),
        floating("days_late_p90", "90th percentile"),
        floating("champion_days_late_p50", "the champion's median"),
    ),
)
#: Scores that are kept of both.
_BOTH: Final = ("action", "anomaly_score", "p_error", "p_late", "days_late_p50")


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A comparison on outcomes: Brier score, and how often each would have stopped what was wrong.

    ``stopped`` and its like are shares of the weighted rows.
    """

    gain: Gain
    positives: int
    disagreements: int
    figures: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Answers:
    """``DECISIONS`` of the same drafts by both sets of models, before facts of billing are added.

    ``versions``: model → digest of the champions and of the challengers (``Models.versions``).
    """

    champion: pl.DataFrame
    challenger: pl.DataFrame
    versions: tuple[Mapping[str, str], Mapping[str, str]]


def shadow_rows(answers: Answers, drafts: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """Put both answers of each draft side by side.

    Parameters
    ----------
    answers : Answers
        By both.
    drafts : pl.DataFrame
        ``draft_id, version, customer_id``.
    run_id : str
        The run.

    Returns
    -------
    pl.DataFrame
        ``SHADOW_SCORES``: one row per draft and challenged model.
    """
    present, challenging = answers.versions
    changed = sorted(name for name, one in challenging.items() if present.get(name) != one)
    models = pl.DataFrame(
        {
            "model": changed,
            "digest": [challenging[name] for name in changed],
            "champion_digest": [present.get(name, "") for name in changed],
        },
        schema=dict.fromkeys(("model", "digest", "champion_digest"), pl.String()),
    )
    theirs = answers.champion.select(
        "invoice_id", *(pl.col(n).alias(f"champion_{n}") for n in _BOTH)
    )
    named = drafts.select("customer_id", invoice_id="draft_id", draft_version="version")
    rows = (
        answers.challenger.select("invoice_id", *_BOTH, "days_late_p10", "days_late_p90")
        .join(theirs, on="invoice_id", maintain_order="left")
        .join(named, on="invoice_id", maintain_order="left")
        .join(models, how="cross")
        .with_columns(run_id=pl.lit(run_id), challenged=pl.lit(",".join(changed)))
    )
    return SHADOW_SCORES.conform(rows.rename({"invoice_id": "draft_id"}))


def compare_errors(rows: pl.DataFrame, *, seed: int) -> Shadowed:
    """Compare by who foresaw the errors that the random sample found.

    Parameters
    ----------
    rows : pl.DataFrame
        ``SHADOW_SCORES`` with ``is_error`` and, where the sample was stratified, ``weight``.
    seed : int
        Of the bootstrap.
    """
    wrong = pl.col("is_error")
    losses = _losses(rows, "p_error", wrong)
    figures = {
        "stopped of what was wrong": _stopped(rows, wrong),
        "stopped of what was right": _stopped(rows, ~wrong),
        "mean P(error)": _mean(rows, "p_error"),
    }
    return _shadowed(losses, rows, wrong, figures, seed=seed)


def compare_lateness(rows: pl.DataFrame, *, seed: int) -> Shadowed:
    """Compare by who foresaw late payment.

    Parameters
    ----------
    rows : pl.DataFrame
        ``SHADOW_SCORES`` with ``is_late`` and ``delay_days`` (null: still open).
    seed : int
        Of the bootstrap.
    """
    late = pl.col("is_late")
    figures = {"mean P(late)": _mean(rows, "p_late")}
    settled = rows.filter(pl.col("delay_days").is_not_null())
    if not settled.is_empty():
        gap = [
            (settled[name] - settled["delay_days"]).abs().to_numpy().mean()
            for name in ("champion_days_late_p50", "days_late_p50")
        ]
        figures["mean error in days"] = (float(gap[0]), float(gap[1]))
    return _shadowed(_losses(rows, "p_late", late), rows, late, figures, seed=seed)


def _losses(rows: pl.DataFrame, name: str, outcome: pl.Expr) -> pl.DataFrame:
    """Brier loss of both on each row."""
    came = outcome.cast(pl.Float64)
    kept: Sequence[str] = [c for c in ("customer_id", "weight") if c in rows.columns]
    return rows.filter(pl.col(name).is_not_null(), pl.col(f"champion_{name}").is_not_null()).select(
        *kept,
        before=(pl.col(f"champion_{name}") - came) ** 2,
        after=(pl.col(name) - came) ** 2,
    )


def _shadowed(
    losses: pl.DataFrame,
    rows: pl.DataFrame,
    outcome: pl.Expr,
    figures: Mapping[str, tuple[float, float]],
    *,
    seed: int,
) -> Shadowed:
    return Shadowed(
        gain=paired(losses, seed=seed),
        positives=int(rows.select(outcome.sum()).item()),
        disagreements=rows.filter(pl.col("action") != pl.col("champion_action")).height,
        figures=figures,
    )


def _stopped(rows: pl.DataFrame, which: pl.Expr) -> tuple[float, float]:
    """Weighted share that champion and challenger would have stopped."""
    chosen = rows.filter(which)
    if "weight" not in chosen.columns:
        chosen = chosen.with_columns(weight=pl.lit(1.0))
    total = float(chosen["weight"].sum())
    if not total:
        return float("nan"), float("nan")
    first, second = (
        float(chosen.filter(pl.col(name) != "release")["weight"].sum()) / total
        for name in ("champion_action", "action")
    )
    return first, second


def _mean(rows: pl.DataFrame, name: str) -> tuple[float, float]:
    """Mean of what champion and challenger said."""
    said = [rows[column].drop_nulls().to_numpy() for column in (f"champion_{name}", name)]
    first, second = (float(one.mean()) if one.size else float("nan") for one in said)
    return first, second
