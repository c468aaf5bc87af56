"""Zuora's published invoice audit as a judge, and money caught for equal numbers of reviews.

Rules and defaults as its documentation states them ("Invoice auditing", read in 2026). Line
validator: against the most recent posted invoice with the same charge, amount changed by more than
2 %, usage quantity by more than 50 %, first billing of a charge, zero baseline. Summary validator:
against the previous invoice of the same account and currency, a charge is absent, the total is
above 2.5 times, or there is no previous invoice. Nothing is ranked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.scoring.frames import Books
from tests.benchmarks.markdown import table

AMOUNT_SHARE: Final = 0.02
USAGE_SHARE: Final = 0.5
TOTAL_TIMES: Final = 2.5
#: Reviews allowed, as shares of the drafts.
BUDGETS: Final = (0.01, 0.02, 0.05)

_GROUP: Final = ["customer_id", "currency"]


def audit(books: Books, is_usage: pl.Expr) -> pl.DataFrame:
    """Audit every invoice against those before it.

    Parameters
    ----------
    books : Books
        Posted invoices and drafts together.
    is_usage : pl.Expr
        Tells which lines have a measured quantity.

    Returns
    -------
    pl.DataFrame, one row an invoice
        ``invoice_id``, ``reasons`` (list, empty: not flagged), ``change``: relative change of the
        total against the previous invoice, null without one.
    """
    heads = books.invoices.sort(*_GROUP, "issued_on", "invoice_id").with_columns(
        previous_id=pl.col("invoice_id").shift(1).over(_GROUP),
        previous_minor=pl.col("total_minor").shift(1).over(_GROUP),
    )
    total, before = pl.col("total_minor"), pl.col("previous_minor")
    summary = heads.select(
        "invoice_id",
        change=(total - before).abs() / before.abs().clip(1),
        no_history=before.is_null(),
        outlier=(total > before * TOTAL_TIMES).fill_null(value=False),
    )
    charges = _charges(books, heads, is_usage)
    parts = (
        summary,
        _lines(charges),
        _absent(charges, heads).with_columns(absent=pl.lit(value=True)),
    )
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.join(part, on="invoice_id", how="left", maintain_order="left")
    names = ("no_history", "outlier", "amount", "usage", "first_billing", "zero_baseline", "absent")
    reasons = [pl.when(pl.col(name)).then(pl.lit(name)) for name in names]
    return joined.select("invoice_id", "change", reasons=pl.concat_list(reasons).list.drop_nulls())


def _charges(books: Books, heads: pl.DataFrame, is_usage: pl.Expr) -> pl.DataFrame:
    """Sum up each invoice by charge, with the last invoice before that had the same one."""
    summed = books.lines.group_by("invoice_id", "product").agg(
        amount=pl.col("amount_minor").sum(),
        quantity=pl.col("quantity").cast(pl.Float64).sum(),
        is_usage=is_usage.any(),
    )
    own = summed.join(heads.select("invoice_id", "issued_on", *_GROUP), on="invoice_id")
    over = [*_GROUP, "product"]
    return own.sort(*over, "issued_on", "invoice_id").with_columns(
        amount_before=pl.col("amount").shift(1).over(over),
        quantity_before=pl.col("quantity").shift(1).over(over),
    )


def _lines(charges: pl.DataFrame) -> pl.DataFrame:
    amount, quantity = pl.col("amount"), pl.col("quantity")
    baseline, measured = pl.col("amount_before"), pl.col("quantity_before")
    rules = {
        "amount": (amount - baseline).abs() > AMOUNT_SHARE * baseline.abs(),
        "usage": pl.col("is_usage") & ((quantity - measured).abs() > USAGE_SHARE * measured.abs()),
        "first_billing": baseline.is_null(),
        "zero_baseline": (baseline == 0) | (pl.col("is_usage") & (measured == 0)),
    }
    return charges.group_by("invoice_id").agg(
        rule.fill_null(value=False).any().alias(name) for name, rule in rules.items()
    )


def _absent(charges: pl.DataFrame, heads: pl.DataFrame) -> pl.DataFrame:
    """Invoices that lack a charge of the previous one."""
    billed = charges.select("invoice_id", "product")
    expected = heads.select("invoice_id", "previous_id").join(
        billed.rename({"invoice_id": "previous_id"}), on="previous_id"
    )
    return (
        expected.join(billed, on=["invoice_id", "product"], how="anti")
        .select("invoice_id")
        .unique()
    )


# ── Money for equal numbers of reviews ───────────────────────────────────────────────────────


@dataclass(frozen=True)
class Reviewed:
    """What each way of choosing drafts to review catches; money in major units.

    ``flagged``: drafts that the audit flags; ``caught``: way → money by budget, the last budget
    being as many reviews as the audit flags.
    """

    drafts: int
    flagged: int
    wrong: float
    caught: Mapping[str, Sequence[float]]
    budgets: Sequence[int]


def compare(
    audited: pl.DataFrame,
    losses: Mapping[str, float],
    orders: Mapping[str, Sequence[str]],
    owners: Mapping[str, str] | None = None,
) -> Reviewed:
    """Let everybody review equally many drafts.

    Parameters
    ----------
    audited : pl.DataFrame
        The drafts' rows of :func:`audit`.
    losses : mapping
        What is wrong → money; the key is a draft, or what ``owners`` says a draft belongs to.
    orders : mapping
        Way of ranking → draft ids, the first to be reviewed first.
    owners : mapping or None
        Draft → what it belongs to, such as a contract, whose loss any of its drafts reveals.
    """
    flagged = (
        audited.filter(pl.col("reasons").list.len() > 0)
        .sort("change", "invoice_id", descending=[True, False], nulls_last=True)["invoice_id"]
        .to_list()
    )
    budgets = [round(audited.height * share) for share in BUDGETS] + [len(flagged)]
    belongs = owners or {}
    found = _sum(losses, flagged, belongs)
    any_order = [found * min(budget / max(len(flagged), 1), 1.0) for budget in budgets]
    ranked = {"audit, largest change first": flagged, **orders}
    caught = {
        name: [_sum(losses, ids[:n], belongs) for n in budgets] for name, ids in ranked.items()
    }
    return Reviewed(
        audited.height,
        len(flagged),
        sum(losses.values()),
        {"audit, in any order": any_order, **caught},
        budgets,
    )


def _sum(losses: Mapping[str, float], ids: Sequence[str], owners: Mapping[str, str]) -> float:
    return sum(losses.get(owner, 0.0) for owner in {owners.get(one, one) for one in ids})


def money_table(seeds: Sequence[Reviewed]) -> str:
    """Money a review, and the share of the wrong money, summed over seeds."""
    reviews = [sum(one.budgets[n] for one in seeds) for n in range(len(BUDGETS) + 1)]
    wrong = sum(one.wrong for one in seeds)
    flagged = sum(one.flagged for one in seeds) / sum(one.drafts for one in seeds)
    header = [
        "money caught a review (share of the wrong money)",
        *(f"{share:.0%} reviewed" for share in BUDGETS),
        f"as many as the audit flags ({flagged:.1%})",
    ]
    rows = []
    for name in seeds[0].caught:
        sums = [sum(one.caught[name][n] for one in seeds) for n in range(len(reviews))]
        cells = (
            f"{money / max(count, 1):,.2f} ({money / max(wrong, 1e-9):.0%})"
            for money, count in zip(sums, reviews, strict=True)
        )
        rows.append([name, *cells])
    return table(header, rows)
