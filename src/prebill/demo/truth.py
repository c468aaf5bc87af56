"""What is true of the demo company: which invoices are wrong, why, and what they should be."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from prebill.demo.agreements import Agreements
from prebill.demo.faults import UNSEEN
from prebill.demo.randomness import stream

#: An error smaller than this share of the true invoice is no fault worth the name.
SMALLEST_EFFECT_PERCENT: Final = 1
#: Sizes are drawn log-uniformly up to this many times the true invoice, or what a family reaches.
LARGEST_SIZE: Final = 10

FAULT_COLUMNS: Final = (
    *("family", "customer_id", "contract_id", "currency", "true_total_minor"),
    *("billed_total_minor", "billed_currency", "error_minor", "median_minor", "direction"),
)


@dataclass(frozen=True, slots=True)
class Truth:
    """``faults``: one row a faulty contract; ``negatives``: odd but right, with their kind.

    ``billed_total_minor`` is what the faulty files lead to, 0 where nothing is drafted;
    ``error_minor`` is the money that is wrong, at most the true total; ``median_minor`` is the
    customer's median invoice before, the true total for a new customer.
    """

    seed: int
    customers: int
    faults: pl.DataFrame
    negatives: pl.DataFrame

    @property
    def unseen(self) -> pl.DataFrame:
        """Faults of the families that no detector was written for."""
        return self.faults.filter(pl.col("family").is_in(list(UNSEEN)))

    @property
    def seen(self) -> pl.DataFrame:
        """All other faults."""
        return self.faults.filter(~pl.col("family").is_in(list(UNSEEN)))

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


def effects(
    true_drafts: pl.DataFrame, faulty_drafts: pl.DataFrame, invoices: pl.DataFrame
) -> pl.DataFrame:
    """Compare the drafts of the true with those of the faulty files, contract by contract.

    Parameters
    ----------
    true_drafts, faulty_drafts : pl.DataFrame, DRAFTS
        What the same billing makes of both.
    invoices : pl.DataFrame, INVOICES
        The customers' earlier invoices.

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
    earlier = invoices.group_by("customer_id").agg(
        median_minor=pl.col("total_minor").median().floor().cast(pl.Int64)
    )
    both = both.join(earlier, on="customer_id", how="left").with_columns(
        pl.coalesce("median_minor", "true_total_minor")
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


def keep_sized(
    seed: int, planted: pl.DataFrame, measured: pl.DataFrame, per_family: int
) -> pl.DataFrame:
    """Keep the same number of each family, of sizes as near to log-uniform as it has them.

    Parameters
    ----------
    seed : int
        Draws the wanted sizes.
    planted : pl.DataFrame
        ``number``, ``family``, ``contract_id`` of the faults that were tried.
    measured : pl.DataFrame
        The result of :func:`effects`; a fault without an effect is not in it.
    per_family : int
        How many are wanted; all families get as many as the scarcest has.

    Returns
    -------
    pl.DataFrame
        Those rows of ``planted`` that are kept.
    """
    true, billed = pl.col("true_total_minor"), pl.col("billed_total_minor")
    size = pl.when(pl.col("billed_currency") != pl.col("currency")).then(1.0)
    sized = planted.join(
        measured.select("contract_id", log_size=size.otherwise((billed - true).abs() / true).log()),
        on="contract_id",
        maintain_order="left",
    )
    families = sized.partition_by("family", maintain_order=True)
    every = min([per_family, *(family.height for family in families)])
    if len(families) < planted["family"].n_unique():
        every = 0
    return pl.concat([sized.clear(), *(_nearest(seed, family, every) for family in families)]).drop(
        "log_size"
    )


def _nearest(seed: int, family: pl.DataFrame, count: int) -> pl.DataFrame:
    """Choose faults of one family whose sizes are nearest to sizes drawn log-uniformly."""
    name, log_sizes = family["family"][0], family["log_size"].to_list()
    low = math.log(SMALLEST_EFFECT_PERCENT / 100)
    high = max(min(max(log_sizes), math.log(LARGEST_SIZE)), low)
    free, kept = set(range(len(log_sizes))), []
    for wanted in stream(seed, f"size {name}").uniform(low, high, count):
        best = min(free, key=lambda row: (abs(log_sizes[row] - wanted), row))
        free.remove(best)
        kept.append(best)
    return family[kept]


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
