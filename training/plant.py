"""Make some drafts wrong in known ways, to measure by. Shares nothing with the detectors.

These are a few plain kinds: they show whether a new forest is better than the old one and for which
kind of fault, not how good detection is (docs/quality.md has that).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import polars as pl

from prebill.core.money import DECIMAL, round_minor
from prebill.core.scoring.frames import Books

#: Kind → factors of the quantities and of the amounts.
_TIMES: Final = {
    "half missing": ("0.5", "0.5"),
    "unit error x10": ("10", "10"),
    "price 15 % up": ("1", "1.15"),
}
USAGE_UP: Final = "usage up"
#: These need an invoice with at least two lines.
LINE_TWICE: Final = "line twice"
LINE_ABSENT: Final = "line absent"
KINDS: Final = (USAGE_UP, *_TIMES, LINE_TWICE, LINE_ABSENT)
_LINE_KINDS: Final = (LINE_TWICE, LINE_ABSENT)
_PARTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Planted:
    """The changed books, and ``invoice_id, kind, amount_minor`` (money wrong) of each fault."""

    books: Books
    faults: pl.DataFrame


def plant(drafts: Books, *, share: float, usage_up: float, seed: int) -> Planted:
    """Make a share of the drafts wrong, each kind about equally often.

    Parameters
    ----------
    drafts : Books
        Invoices and lines.
    share : float
        Of the invoices; which ones depends on their ids and the seed alone.
    usage_up : float
        Factor of the kind "usage up".
    seed : int
        Another seed, other invoices.

    Returns
    -------
    Planted
        A fault's money is what total differs by, at most the right total.
    """
    lines = drafts.lines.group_by("invoice_id").len("line_count")
    invoices = drafts.invoices.join(lines, on="invoice_id", how="left", maintain_order="left")
    has_lines = pl.col("line_count").fill_null(0) >= 2
    wanted = _kind_of(seed, KINDS)
    kind = pl.when(wanted.is_in(_LINE_KINDS) & ~has_lines)
    chosen = invoices.filter(pl.col("invoice_id").hash(seed) % _PARTS < int(share * _PARTS)).select(
        "invoice_id",
        kind=kind.then(_kind_of(seed, (USAGE_UP, *_TIMES))).otherwise(wanted),
    )
    factors = {**_TIMES, USAGE_UP: (str(usage_up), str(usage_up))}
    changed = _lines_repeated(_multiplied(drafts, chosen, factors), chosen)
    return Planted(changed, _faults(drafts, changed, chosen))


def _kind_of(seed: int, kinds: tuple[str, ...]) -> pl.Expr:
    place = pl.col("invoice_id").hash(seed + 1) % len(kinds)
    return place.replace_strict(dict(enumerate(kinds)), return_dtype=pl.String())


def _multiplied(drafts: Books, chosen: pl.DataFrame, factors: dict[str, tuple[str, str]]) -> Books:
    """Multiply quantities and amounts, header and lines."""

    def factor(side: int) -> pl.Expr:
        by_kind = {kind: Decimal(both[side]) for kind, both in factors.items()}
        one = pl.lit(Decimal(1)).cast(DECIMAL)
        return pl.col("kind").replace_strict(by_kind, default=one, return_dtype=DECIMAL)

    def times(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
        joined = frame.join(chosen, on="invoice_id", how="left", maintain_order="left")
        changed = [
            pl.when(pl.col("kind").is_null())
            .then(pl.col(name))
            .otherwise(round_minor(pl.col(name).cast(DECIMAL) * factor(1)))
            .alias(name)
            for name in names
        ]
        if "quantity" in frame.columns:
            changed.append(
                pl.when(pl.col("kind").is_null())
                .then(pl.col("quantity"))
                .otherwise((pl.col("quantity") * factor(0)).cast(DECIMAL))
                .alias("quantity")
            )
        return joined.with_columns(changed).drop("kind")

    return Books(
        times(drafts.invoices, ["subtotal_minor", "tax_minor", "total_minor"]),
        times(drafts.lines, ["amount_minor", "tax_minor"]),
    )


def _lines_repeated(drafts: Books, chosen: pl.DataFrame) -> Books:
    """Bill the largest line twice, or leave it out, and change the totals accordingly."""
    concerned = drafts.lines.join(
        chosen.filter(pl.col("kind").is_in(_LINE_KINDS)), on="invoice_id", how="inner"
    )
    largest = concerned.sort("amount_minor", "line_id", descending=[True, False]).unique(
        "invoice_id", keep="first", maintain_order=True
    )
    sign = pl.when(pl.col("kind") == LINE_TWICE).then(1).otherwise(-1)
    moved = largest.select(
        "invoice_id",
        more_minor=pl.col("amount_minor") * sign,
        more_tax_minor=pl.col("tax_minor").fill_null(0) * sign,
    )
    joined = drafts.invoices.join(moved, on="invoice_id", how="left", maintain_order="left")
    more, more_tax = pl.col("more_minor").fill_null(0), pl.col("more_tax_minor").fill_null(0)
    invoices = joined.with_columns(
        pl.col("subtotal_minor") + more,
        pl.col("tax_minor") + more_tax,
        pl.col("total_minor") + more + more_tax,
    ).drop("more_minor", "more_tax_minor")
    twice = largest.filter(kind=LINE_TWICE).drop("kind")
    twice = twice.with_columns(line_id=pl.format("{}-again", "line_id"))
    absent = largest.filter(kind=LINE_ABSENT).select("invoice_id", "line_id")
    kept = drafts.lines.join(absent, on=["invoice_id", "line_id"], how="anti")
    return Books(invoices, pl.concat([kept, twice]))


def _faults(before: Books, after: Books, chosen: pl.DataFrame) -> pl.DataFrame:
    """A fault that changed nothing (a zero invoice) is none."""
    right = before.invoices.select("invoice_id", right_minor="total_minor")
    wrong = after.invoices.select("invoice_id", wrong_minor="total_minor")
    joined = chosen.join(right, on="invoice_id").join(wrong, on="invoice_id")
    off = (pl.col("wrong_minor") - pl.col("right_minor")).abs()
    capped = pl.min_horizontal(off, pl.col("right_minor").abs())
    return (
        joined.with_columns(amount_minor=capped)
        .filter(pl.col("amount_minor") > 0)
        .select("invoice_id", "kind", "amount_minor")
    )
