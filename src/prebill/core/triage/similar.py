"""The resolved cases most like one: by reasons, customer, charge, size and direction. Pure.

The distance is a weighted mean of six parts, each 0 (equal) to 1 (nothing in common). Weights are
judgement, not learnt: what a case is about counts most, then whose it is.
"""

from collections.abc import Mapping
from math import log
from typing import Any, Final

import polars as pl

from prebill.core.schemas.frame import collected
from prebill.core.triage.resolutions import once_a_case

#: Part of the distance → weight.
WEIGHTS: Final = {
    "codes": 4.0,
    "customer": 1.5,
    "charges": 1.0,
    "size": 1.0,
    "direction": 1.0,
    "rarity": 0.5,
}
#: Deviations that differ by this factor are as different in size as any.
_FACTOR: Final = 10.0
#: Decades of rarity that make two scores as different as any.
_DECADES: Final = 3.0
_SHOWN: Final = 3


def most_similar(asked: pl.DataFrame, resolved: pl.DataFrame, count: int = _SHOWN) -> pl.DataFrame:
    """Return the resolved cases nearest to one.

    Parameters
    ----------
    asked : pl.DataFrame, one row
        ``FACTS`` of the case asked about.
    resolved : pl.DataFrame, ``RESOLUTIONS``
        Candidates; the case itself is left out.
    count : int
        How many at most.

    Returns
    -------
    pl.DataFrame
        Rows of ``RESOLUTIONS``, one a case, with ``distance`` in [0, 1], the nearest first; of
        equally near ones the latest. Cases that share no reason are none.
    """
    case = asked.row(0, named=True)
    others = once_a_case(resolved.filter(pl.col("case_id") != case["case_id"]))
    if others.is_empty():
        return others.with_columns(distance=pl.lit(0.0))
    parts = _parts(case, others)
    known = [pl.when(pl.col(name).is_not_null()).then(WEIGHTS[name]) for name in WEIGHTS]
    told = [pl.col(name) * WEIGHTS[name] for name in WEIGHTS]
    distance = pl.sum_horizontal(told) / pl.sum_horizontal(known)
    measured = parts.select(distance=distance, shares_code=pl.col("codes") < 1.0)
    return (
        pl.concat([others, measured], how="horizontal")
        .filter("shares_code")
        .drop("shares_code")
        .sort("distance", "resolved_at", descending=[False, True])
        .head(count)
    )


def _parts(case: Mapping[str, Any], others: pl.DataFrame) -> pl.DataFrame:
    """The parts of the distance; null where one of the two says nothing."""
    size = _log_share(pl.col("amount_minor"), pl.col("total_minor"))
    amount_minor, total_minor = (int(case[n] or 0) for n in ("amount_minor", "total_minor"))
    own = log(abs(amount_minor / total_minor)) if amount_minor and total_minor else None
    score = pl.lit(case["anomaly_score"], dtype=pl.Float64)
    apart = (_decades(pl.col("anomaly_score")) - _decades(score)).abs() / _DECADES
    off = (size - own).abs() / log(_FACTOR) if own is not None else pl.lit(None)
    is_other = pl.col("customer_id") != pl.lit(case["customer_id"], dtype=pl.String)
    return others.select(
        codes=_codes_apart(str(case["codes"]), others),
        customer=is_other.fill_null(value=True).cast(pl.Float64),
        charges=_sets_apart(pl.col("charges"), str(case["charges"])),
        size=off.cast(pl.Float64).clip(0.0, 1.0),
        direction=(
            pl.col("amount_minor").sign() != pl.lit(amount_minor, dtype=pl.Int64).sign()
        ).cast(pl.Float64),
        rarity=apart.clip(0.0, 1.0),
    )


def _codes_apart(codes: str, others: pl.DataFrame) -> pl.Series:
    """One less the weighted overlap of the reason codes; rare codes weigh more."""
    own = list(dict.fromkeys(codes.split(",")))
    listed = others.lazy().select("case_id", code=pl.col("codes").str.split(",")).explode("code")
    weighed = listed.with_columns(weight=_rare(pl.len().over("code"), others.height))
    sums = weighed.group_by("case_id").agg(
        shared=pl.col("weight").filter(pl.col("code").is_in(own)).sum(), all=pl.col("weight").sum()
    )
    has = pl.col("codes").str.split(",")
    counts = others.select(has.list.contains(code).sum().alias(code) for code in own).row(0)
    # A code that no candidate has is as rare as one that a single one has.
    mine = sum(log(1.0 + others.height / max(count, 1)) for count in counts)
    union = pl.col("all") + mine - pl.col("shared")
    return collected(
        others.lazy()
        .select("case_id")
        .join(sums, on="case_id", how="left", maintain_order="left")
        .select(1.0 - pl.col("shared") / union)
    ).to_series()


def _rare(count: pl.Expr, of: int) -> pl.Expr:
    return (1.0 + of / count).log()


def _sets_apart(texts: pl.Expr, own: str) -> pl.Expr:
    """One less the overlap of comma-separated names; null where a side has none."""
    names = own.split(",") if own else []
    theirs, mine = texts.str.split(","), pl.lit(names, dtype=pl.List(pl.String))
    shared = theirs.list.set_intersection(mine).list.len()
    union = theirs.list.set_union(mine).list.len()
    overlap = shared.cast(pl.Float64) / union
    return pl.when((texts != "") & bool(names)).then(1.0 - overlap)


def _log_share(amount_minor: pl.Expr, total_minor: pl.Expr) -> pl.Expr:
    """Logarithm of the deviation as a share of the total; null where either is 0."""
    share = amount_minor.abs() / total_minor.abs()
    return pl.when((amount_minor != 0) & (total_minor != 0)).then(share.log())


def _decades(score: pl.Expr) -> pl.Expr:
    return -(1.0 - score).clip(1e-6, 1.0).log10()
