"""Let through only what is better: paired with the champion on rows that neither has learnt."""

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from prebill.bundles import Bundle
from prebill.core.scoring.comparison import SLICES, Gain, by_slice, paired
from training.specification import Specification
from training.trained import Later, Tested, Trained


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model passes, in words; what it gains, and slice by slice.

    ``against``: digest of the champion that it was compared with, empty for the simple rule.
    """

    is_better: bool
    reason: str
    against: str
    gain: Gain | None = None
    slices: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SLICES))
    #: Figures of what it was compared with, on the same rows.
    rival: Tested | None = None


def compare(trained: Trained, champion: Bundle | None, spec: Specification) -> Verdict:
    """Compare a new model with the champion, or with the simple rule where there is none.

    Parameters
    ----------
    trained : Trained
        The new model and its later rows.
    champion : Bundle or None
        The verified local copy in use.
    spec : Specification
        ``promote`` and ``slices``.

    Returns
    -------
    Verdict
        See :func:`judge`.
    """
    if champion is None:
        return judge(trained.tested, trained.simple, trained.later, spec, against="")
    return compare_bundles(trained.later, trained.bundle, champion, spec)


def compare_bundles(later: Later, new: Bundle, champion: Bundle, spec: Specification) -> Verdict:
    """Compare two registered models on the rows that are newer than what either learnt from."""
    learnt = max(date.fromisoformat(one.facts["train_before"]) for one in (new, champion))
    rows = later.after(learnt)
    if rows.height < spec.promote["min_rows"]:
        reason = f"only {rows.height} outcomes are newer than what both learnt from"
        return Verdict(is_better=False, reason=reason, against=champion.digest)
    tested, rival = rows.measure(new), rows.measure(champion)
    return judge(tested, rival, rows, spec, against=champion.digest)


def judge(
    tested: Tested, rival: Tested, later: Later, spec: Specification, *, against: str
) -> Verdict:
    """Say whether a model passes.

    It passes if it loses less than its rival by more than ``min_gain``, is calibrated within what
    chance explains, and no value of a slice got worse by more than its bound. A value counts as
    worse only if it has ``slice_min_rows`` rows and its interval says so surely (its upper end
    is below no change): with a dozen slices one in two would otherwise fail by chance.
    """
    losses = rival.losses.rename({"loss": "before"}).join(
        tested.losses.select("invoice_id", after="loss"), on="invoice_id", maintain_order="left"
    )
    sliced = losses.join(later.slices, on="invoice_id", maintain_order="left")
    gain = paired(losses, seed=spec.seed)
    least = int(spec.promote["slice_min_rows"])
    slices = by_slice(sliced, list(spec.slices), least_rows=least, seed=spec.seed)
    excess = tested.figures.get("ece", 0.0) - tested.figures.get("ece_if_perfect", 0.0)
    worse = worse_slices(slices, spec)
    verdict = "better" if gain.gain > spec.promote["min_gain"] else "no better"
    if worse:
        verdict = f"worse for {', '.join(worse)}"
    if excess > spec.promote.get("max_ece_excess", 1.0):
        verdict = "not calibrated"
    rule = "the champion" if against else "the simple rule"
    shown = (
        f"loss {gain.after:.4f} against {gain.before:.4f} of {rule}, saves {gain.gain:.4f} "
        f"({gain.low:.4f} to {gain.high:.4f}), {gain.rows:,} rows of {gain.customers:,} customers"
    )
    return Verdict(
        is_better=verdict == "better",
        reason=f"{verdict}: {shown}",
        against=against,
        gain=gain,
        slices=slices,
        rival=rival,
    )


def worse_slices(slices: pl.DataFrame, spec: Specification) -> list[str]:
    """Name the values of slices that surely got worse by more than their bound."""
    bound = pl.col("slice").replace_strict(dict(spec.slices), return_dtype=pl.Float64())
    worse = slices.filter("is_judged", pl.col("gain") < -bound, pl.col("high") < 0)
    return [f"{name} {value}" for name, value in worse.select("slice", "value").iter_rows()]
