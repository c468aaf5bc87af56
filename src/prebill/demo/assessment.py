"""Compare what Prebill stopped with what is truly wrong: money, recall and precision.

Pure: frames in, frames out. It knows no reason code by name: which reasons belong to a family is
read off the faulty invoices that they stopped.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.demo.truth import Truth

#: Actions in their order; an invoice that nobody stopped is ``release``.
_LADDER: Final = {"release": 0, "review": 1, "hold": 2}

#: What came out of the run, one row a draft or a gap (an invoice that should exist).
OUTCOME: Final = pl.Schema(
    {
        "draft_id": pl.String(),
        "contract_id": pl.String(),
        "customer_id": pl.String(),
        "currency": pl.String(),
        "total_minor": pl.Int64(),
        "action": pl.String(),
        "reason_code": pl.String(),
        "is_gap": pl.Boolean(),
    }
)


@dataclass(frozen=True, slots=True)
class Assessment:
    """``money``: a row a currency; ``families``: a row a family and one for all; names of both.

    ``missed`` are faults that went out, ``wrongly_stopped`` right invoices that did not. Faults of
    the families that no detector was written for are in ``unseen`` only, a row a family.
    """

    money: pl.DataFrame
    families: pl.DataFrame
    missed: pl.DataFrame
    wrongly_stopped: pl.DataFrame
    hard_negatives: pl.DataFrame
    unseen: pl.DataFrame


def assess(truth: Truth, outcome: pl.DataFrame, names: pl.DataFrame) -> Assessment:
    """Judge the judge.

    Parameters
    ----------
    truth : Truth
        Faulty contracts with the money that is wrong, and the odd but right ones.
    outcome : pl.DataFrame, OUTCOME
        Every draft with its action, and every case of a missing invoice.
    names : pl.DataFrame
        ``customer_id`` and ``name``: who got no draft is named too.
    """
    ranked = outcome.with_columns(rank=pl.col("action").replace_strict(_LADDER))
    faults = answered(truth.seen, outcome)
    clean = ranked.join(truth.faults, on="contract_id", how="anti")
    stopped = clean.filter(pl.col("rank") > 0)
    kinds = truth.negatives.group_by("contract_id").agg(kind=pl.col("kind").sort().str.join(", "))
    return Assessment(
        money=_money(ranked, faults),
        families=_families(faults, stopped),
        missed=faults.filter(pl.col("rank") == 0)
        .join(names, on="customer_id", how="left")
        .sort("error_minor", "contract_id", descending=[True, False]),
        wrongly_stopped=stopped.join(kinds, on="contract_id", how="left")
        .join(names, on="customer_id", how="left")
        .sort("rank", "total_minor", "draft_id", descending=[True, True, False]),
        hard_negatives=_hard_negatives(truth, clean),
        unseen=_per_family(answered(truth.unseen, outcome)),
    )


def answered(faults: pl.DataFrame, outcome: pl.DataFrame) -> pl.DataFrame:
    """Add to each fault what the strictest draft or case of its contract came to.

    ``rank`` 0 to 2: released, reviewed, held; ``reason_code`` and ``draft_id`` of that one.
    """
    ranked = outcome.with_columns(rank=pl.col("action").replace_strict(_LADDER))
    strictest = ranked.sort("contract_id", "rank", descending=[False, True]).unique(
        "contract_id", keep="first", maintain_order=True
    )
    return faults.join(
        strictest.select("contract_id", "rank", "reason_code", "draft_id"),
        on="contract_id",
        how="left",
    ).with_columns(pl.col("rank").fill_null(0))


def _money(ranked: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
    """Sum up, by currency of the contract, what was billed, left alone, stopped and caught."""
    is_released = pl.col("rank") == 0
    drafts = (
        ranked.filter(~pl.col("is_gap"))
        .group_by("currency")
        .agg(
            drafts=pl.len(),
            billed_minor=pl.col("total_minor").sum(),
            untouched=is_released.sum(),
            untouched_minor=pl.col("total_minor").filter(is_released).sum(),
            reviewed_minor=pl.col("total_minor").filter(pl.col("rank") == 1).sum(),
            held_minor=pl.col("total_minor").filter(pl.col("rank") == 2).sum(),
        )
    )
    is_caught = pl.col("rank") > 0
    faulty = faults.group_by("currency").agg(
        caught_minor=pl.col("error_minor").filter(is_caught).sum(),
        missed_minor=pl.col("error_minor").filter(~is_caught).sum(),
    )
    return (
        drafts.join(faulty, on="currency", how="full", coalesce=True)
        .with_columns(pl.exclude("currency").fill_null(0))
        .sort("currency")
    )


def _per_family(faults: pl.DataFrame) -> pl.DataFrame:
    """Count faults and catches, with the share of the wrong money and the leading reasons."""
    is_caught = pl.col("rank") > 0
    return (
        faults.group_by("family")
        .agg(
            faults=pl.len(),
            held=(pl.col("rank") == 2).sum(),
            reviewed=(pl.col("rank") == 1).sum(),
            caught_money_share=pl.col("error_minor").filter(is_caught).sum()
            / pl.col("error_minor").sum(),
            reasons=pl.col("reason_code").filter(is_caught).drop_nulls().unique().sort(),
        )
        .sort("family")
    )


def _families(faults: pl.DataFrame, stopped: pl.DataFrame) -> pl.DataFrame:
    """Count faults, catches and the false stops that belong to a family."""
    per_family = _per_family(faults)
    false_by_family = _false_stops(faults.filter(pl.col("rank") > 0), stopped)
    table = (
        per_family.join(false_by_family, on="family", how="left")
        .with_columns(pl.col("false_stops").fill_null(0))
        .sort("family")
    )
    whole = pl.DataFrame(
        {
            "family": ["all"],
            "faults": [faults.height],
            "held": [int((faults["rank"] == 2).sum())],
            "reviewed": [int((faults["rank"] == 1).sum())],
            "false_stops": [stopped.height],
        }
    )
    columns = ["family", "faults", "held", "reviewed", "false_stops"]
    shares = table.select("family", "caught_money_share", "reasons")
    both = pl.concat(
        [table.select(columns), whole.select(columns)], how="vertical_relaxed"
    ).with_columns(caught=pl.col("held") + pl.col("reviewed"))
    return both.with_columns(
        recall=pl.col("caught") / pl.col("faults"),
        precision=pl.when(pl.col("caught") + pl.col("false_stops") > 0).then(
            pl.col("caught") / (pl.col("caught") + pl.col("false_stops"))
        ),
    ).join(shares, on="family", how="left", maintain_order="left")


def _false_stops(caught: pl.DataFrame, stopped: pl.DataFrame) -> pl.DataFrame:
    """Count false stops by the family that their leading reason caught most often."""
    owners = (
        caught.group_by("reason_code", "family")
        .len()
        .sort("len", "family", descending=[True, False])
        .unique("reason_code", keep="first", maintain_order=True)
    )
    return (
        stopped.join(owners.select("reason_code", "family"), on="reason_code")
        .group_by("family")
        .agg(false_stops=pl.len())
    )


def _hard_negatives(truth: Truth, clean: pl.DataFrame) -> pl.DataFrame:
    """Count the odd but right invoices by kind, and how many of them were stopped."""
    strictest = clean.group_by("contract_id").agg(pl.col("rank").max())
    return (
        truth.negatives.join(strictest, on="contract_id", how="left")
        .group_by("kind")
        .agg(
            invoices=pl.len(),
            reviewed=(pl.col("rank") == 1).sum(),
            held=(pl.col("rank") == 2).sum(),
        )
        .sort("kind")
    )
