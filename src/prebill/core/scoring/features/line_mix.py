"""What an invoice consists of: new, absent, duplicate and repeated lines.

A repeated line has the product and quantity of a line of the previous invoice, or the amount where
no quantity is known: ordinary for a flat fee, a stuck meter where quantities used to vary. Lines of
equal product and quantity (a price that rose in mid-month) are one. All are shares of money.
"""

from typing import Final

import polars as pl

from prebill.core.schemas.frame import collected
from prebill.core.scoring.features.declaration import LINES, alike
from prebill.core.scoring.frames import Books
from prebill.core.scoring.windows import join_earlier

#: Feature → what it means.
_MEANINGS: Final = {
    "new_share": "money of products that the previous invoice lacked",
    "absent_share": "previous invoice's money of products that this one lacks",
    "duplicate_share": "money of lines that stand twice: product, quantity and amount",
    "repeat_share": "money of lines that the previous invoice had too, of equal quantity",
    "repeat_lines": "number of those lines",
    "line_count": "number of lines with money; those of equal product and quantity count once",
}
FEATURES: Final = alike(_MEANINGS, *LINES, null="no lines, or no earlier invoice with lines")


def profile(books: Books, keys: pl.DataFrame) -> pl.DataFrame:
    """The lines of the previous invoice of each series before a day.

    Parameters
    ----------
    books : Books
        Every visible invoice.
    keys : pl.DataFrame
        ``invoice_id, series, issued_on`` of the invoices to judge.

    Returns
    -------
    pl.DataFrame, one row per key and line of its previous invoice
        ``invoice_id, previous_id, product, quantity, money``. A previous invoice without lines
        has one row with nulls, the first invoice of a series none.
    """
    past = books.invoices.select("series", "issued_on", previous_id="invoice_id")
    wanted = keys.select("invoice_id", "series", "issued_on")
    found = join_earlier(wanted, past.sort("previous_id"), ["series"]).filter(
        pl.col("previous_id").is_not_null()
    )
    return found.select("invoice_id", "previous_id").join(
        _money(books.lines).rename({"invoice_id": "previous_id"}), on="previous_id", how="left"
    )


def features(keys: pl.DataFrame, lines: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Compare each invoice's lines with those of its previous invoice.

    Parameters
    ----------
    keys : pl.DataFrame
        ``invoice_id`` of the invoices to judge.
    lines : pl.DataFrame
        ``INVOICE_LINES`` of them; others don't count.
    profile : pl.DataFrame
        From :func:`profile`.

    Returns
    -------
    pl.DataFrame, one row per invoice of ``keys``
        ``invoice_id, previous_id`` and the columns of ``FEATURES``; null without lines, or without
        an earlier invoice that has lines.
    """
    asked = keys.select("invoice_id")
    own = collected(asked.lazy().join(_money(lines).lazy(), on="invoice_id")).lazy()
    before = profile.filter(pl.col("product").is_not_null()).lazy()
    sized = own.group_by("invoice_id", "product", size=_size()).agg(pl.col("money").sum())
    again = before.select("invoice_id", "product", size=_size(), is_repeat=pl.lit(value=True))
    known = before.select("invoice_id", "product", is_known=pl.lit(value=True))
    repeated = sized.join(again.unique(), on=["invoice_id", "product", "size"], how="left").join(
        known.unique(), on=["invoice_id", "product"], how="left"
    )
    whole = pl.max_horizontal(pl.col("money").sum(), pl.lit(1.0))
    now = repeated.group_by("invoice_id").agg(
        new_share=pl.col("money").filter(pl.col("is_known").is_null()).sum() / whole,
        repeat_share=pl.col("money").filter("is_repeat").sum() / whole,
        repeat_lines=(pl.col("is_repeat") & (pl.col("money") > 0)).sum(),
        line_count=(pl.col("money") > 0).sum(),
        money=pl.col("money").sum(),
    )
    doubled = (
        own.filter(pl.col("money") > 0)
        .group_by("invoice_id", "product", "quantity", "money")
        .len()
        .group_by("invoice_id")
        .agg(extra=(pl.col("money") * (pl.col("len") - 1)).sum())
    )
    gone = (
        before.join(
            own.select("invoice_id", "product").unique(), on=["invoice_id", "product"], how="anti"
        )
        .group_by("invoice_id")
        .agg(gone=pl.col("money").sum())
    )
    was = before.group_by("invoice_id").agg(was=pl.col("money").sum())
    has_past = pl.col("was").is_not_null()
    previous = profile.lazy().select("invoice_id", "previous_id").unique("invoice_id")
    joined = asked.lazy().join(previous, on="invoice_id", how="left")
    for part in (now, doubled, gone, was):
        joined = joined.join(part, on="invoice_id", how="left")
    has_lines = pl.col("money").is_not_null()
    plan = joined.select(
        "invoice_id",
        "previous_id",
        new_share=pl.when(has_past).then("new_share"),
        absent_share=pl.when(has_past & has_lines).then(
            pl.col("gone").fill_null(0.0) / pl.max_horizontal("was", pl.lit(1.0))
        ),
        duplicate_share=pl.when(has_lines).then(
            pl.col("extra").fill_null(0.0) / pl.max_horizontal("money", pl.lit(1.0))
        ),
        repeat_share=pl.when(has_past).then("repeat_share"),
        repeat_lines=pl.when(has_past).then("repeat_lines"),
        line_count="line_count",
    )
    return collected(plan)


def _size() -> pl.Expr:
    return pl.coalesce(pl.col("quantity").cast(pl.Float64), "money")


def _money(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.select(
        "invoice_id", "product", "quantity", money=pl.col("amount_minor").abs().cast(pl.Float64)
    )
