"""What is true of the demo company: which invoices are wrong, why, and what they should be."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from prebill.demo.agreements import Agreements
from prebill.demo.faults import Family

#: An error smaller than this share of the true invoice is no fault worth the name.
SMALLEST_EFFECT_PERCENT: Final = 1

FAULT_COLUMNS: Final = (
    *("family", "customer_id", "contract_id", "currency", "true_total_minor"),
    *("billed_total_minor", "billed_currency", "error_minor", "direction"),
)


@dataclass(frozen=True, slots=True)
class Truth:
    """``faults``: one row a faulty contract; ``negatives``: odd but right, with their kind.

    ``billed_total_minor`` is what the faulty files lead to, 0 where nothing is drafted;
    ``error_minor`` is the money that is wrong, at most the true total.
    """

    seed: int
    customers: int
    faults: pl.DataFrame
    negatives: pl.DataFrame

    def write(self, path: Path) -> None:
        """Write as JSON; the same truth gives the same bytes."""
        content = {
            "seed": self.seed,
            "customers": self.customers,
            "faults": self.faults.to_dicts(),
            "negatives": self.negatives.to_dicts(),
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(path: Path) -> "Truth":
        """Read what :meth:`write` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return Truth(
            seed=content["seed"],
            customers=content["customers"],
            faults=pl.DataFrame(content["faults"], infer_schema_length=None),
            negatives=pl.DataFrame(content["negatives"], infer_schema_length=None),
        )


def effects(true_drafts: pl.DataFrame, faulty_drafts: pl.DataFrame) -> pl.DataFrame:
    """Compare the drafts of the true with those of the faulty files, contract by contract.

    Parameters
    ----------
    true_drafts, faulty_drafts : pl.DataFrame, DRAFTS
        What the same billing makes of both.

    Returns
    -------
    pl.DataFrame, one row per contract that the truth bills and the files bill otherwise
        The columns of ``Truth.faults`` but the family.
    """
    true = true_drafts.group_by("contract_id", "customer_id", "currency").agg(
        true_total_minor=pl.col("total_minor").sum()
    )
    billed = faulty_drafts.group_by("contract_id").agg(
        billed_total_minor=pl.col("total_minor").sum(),
        billed_currency=pl.col("currency").sort_by("draft_id").last(),
    )
    both = true.join(billed, on="contract_id", how="left").with_columns(
        pl.col("billed_total_minor").fill_null(0),
        billed_currency=pl.coalesce("billed_currency", "currency"),
    )
    difference = pl.col("billed_total_minor") - pl.col("true_total_minor")
    other_currency = pl.col("billed_currency") != pl.col("currency")
    return (
        both.filter(pl.col("true_total_minor") > 0)
        .with_columns(
            error_minor=pl.when(other_currency)
            .then("true_total_minor")
            .otherwise(pl.min_horizontal(difference.abs(), "true_total_minor")),
            direction=pl.when(other_currency)
            .then(pl.lit("unclear"))
            .when(difference > 0)
            .then(pl.lit("over"))
            .otherwise(pl.lit("under")),
        )
        .filter(pl.col("error_minor") * 100 >= pl.col("true_total_minor") * SMALLEST_EFFECT_PERCENT)
        .sort("contract_id")
    )


def keep_equal_numbers(
    planted: pl.DataFrame, measured: pl.DataFrame, per_family: int
) -> pl.DataFrame:
    """Keep, of those with an effect, the same number of each family, in the drawn order.

    ``planted`` has ``number``, ``family``, ``contract_id`` in the order of the draw, ``measured``
    is the result of :func:`effects`.
    """
    effective = planted.join(
        measured.select("contract_id"), on="contract_id", how="semi", maintain_order="left"
    )
    found = effective.group_by("family").len()["len"]
    every = min(per_family, *found.to_list()) if len(found) == len(Family) else 0
    return effective.filter(pl.col("family").cum_count().over("family") <= every)


def hard_negatives(
    traits: pl.DataFrame, agreements: Agreements, jumps: pl.DataFrame, faulty: pl.Series
) -> pl.DataFrame:
    """List right invoices of the present month that look odd, each with its kind."""
    from_on = agreements.spans["effective_from_on"].max()
    spans = agreements.spans.filter(pl.col("effective_from_on").dt.month_start() == _month(from_on))
    kinds = [
        spans.filter(pl.col("kind") == kind).select("number", "contract_id", kind=pl.lit(name))
        for kind, name in (
            ("start", "new_customer"),
            ("renewal", "price_rise_captured"),
            ("seats", "seats_change_captured"),
            ("upgrade", "upgrade_captured"),
            ("service", "one_off_purchase"),
        )
    ]
    main = agreements.contracts.unique("number", keep="first", maintain_order=True).select(
        "number", "contract_id"
    )
    retail = traits.filter("is_retail").select("number", kind=pl.lit("season"))
    real = pl.concat([jumps.select("number", "kind"), retail]).join(main, on="number")
    rows = pl.concat([*kinds, real.select("number", "contract_id", "kind")])
    return (
        rows.filter(~pl.col("number").is_in(faulty.implode()))
        .join(traits.select("number", "customer_id"), on="number")
        .select("kind", "customer_id", "contract_id")
        .sort("kind", "contract_id")
    )


def _month(day: object) -> pl.Expr:
    return pl.lit(day, pl.Date).dt.month_start()
