"""How the whole document is treated: tax share, currency, sums; exact against its own past.

Amounts vary, these don't: a customer's tax share and currency are the same every month, and a
document adds up.
"""

from typing import Final

import polars as pl

from prebill.core.scoring.frames import Books
from prebill.core.scoring.windows import join_earlier, latest_values, row_median

#: Own invoices that outvote the country's usual tax share.
OWN_TAX_INVOICES: Final = 3
#: Tax shares closer than this are equal (rounding of small amounts).
SHARE_TOLERANCE: Final = 0.002

#: Feature → what it means.
FEATURES: Final[dict[str, str]] = {
    "tax_share": "tax share less the customer's own last, or its country's usual one",
    "currency_off": "1 when the customer never had this currency, nor its entity for its country",
    "sums": "subtotal, tax and total against the lines and each other, share of the total",
}


def features(
    rows: pl.DataFrame, by_invoice: pl.DataFrame, books: Books, customers: pl.DataFrame
) -> pl.DataFrame:
    """Deviations of documents from their own past.

    Parameters
    ----------
    rows : pl.DataFrame
        Invoices to judge, columns of ``books.invoices``.
    by_invoice : pl.DataFrame
        ``invoice_id, line_amount, line_tax``: what their lines sum to.
    books : Books
        Every visible invoice, for the customer's own past tax share and currency.
    customers : pl.DataFrame
        ``CUSTOMERS``: what their country, region and tax id imply.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id``, the columns of ``FEATURES``, ``expected_tax_share``, ``tax_basis`` (own,
        country), ``usual_currency``, ``sums_off_minor``.
    """
    sums = by_invoice.select("invoice_id", "line_amount", "line_tax")
    frame = rows.join(sums, on="invoice_id", how="left")
    frame = _with_tax(frame, books, customers)
    frame = _with_currency(frame, books, customers)
    subtotal, tax = pl.col("subtotal_minor"), pl.col("tax_minor")
    total = pl.col("total_minor").cast(pl.Float64)
    sums_off = pl.max_horizontal(
        (subtotal + tax - total).abs(),
        (pl.col("line_amount") - subtotal).abs(),
        (pl.col("line_tax") - tax).abs(),
        pl.when(subtotal.is_null()).then(
            (pl.col("line_amount") + pl.col("line_tax") - total).abs()
        ),
    )
    # One minor unit a line is rounding, not an error of the sums.
    tolerated = pl.when(sums_off > 2 + total.abs() * 1e-4).then(sums_off).otherwise(0.0)
    return frame.select(
        "invoice_id",
        "tax_share",
        "currency_off",
        "expected_tax_share",
        "tax_basis",
        "usual_currency",
        sums=pl.when(sums_off.is_not_null()).then(
            tolerated / pl.max_horizontal(total.abs(), pl.lit(1.0))
        ),
        sums_off_minor=pl.when(sums_off.is_not_null()).then(tolerated),
    )


def _with_tax(frame: pl.DataFrame, books: Books, customers: pl.DataFrame) -> pl.DataFrame:
    """The tax share against the customer's own ordinary one, else that of its country's alike."""
    share = (pl.col("tax_minor") / pl.col("subtotal_minor")).cast(pl.Float64)
    is_known = pl.col("tax_minor").is_not_null() & (pl.col("subtotal_minor") > 0)
    judged = _placed(frame, customers).with_columns(share=pl.when(is_known).then(share))
    past = _placed(books.invoices, customers).filter(is_known).with_columns(share=share.round(3))
    own = latest_values(
        past.with_columns(by=pl.concat_str("customer_id", "entity", separator="|")),
        judged.select(
            as_of_on="issued_on", by=pl.concat_str("customer_id", "entity", separator="|")
        ),
        ["share"],
        by="by",
    )
    usual = (
        past.filter(pl.col("country").is_not_null())
        .group_by("place", "issued_on")
        .agg(country_share=pl.col("share").mode().min())
    )
    judged = judged.with_columns(
        own_share=pl.Series("own", row_median(own["share"])).fill_nan(None),
        own_count=pl.Series("count", own.count),
    )
    judged = join_earlier(judged, usual, ["place"])
    # One or two own invoices may have been wrong themselves: the country's usual share excuses.
    is_excused = (pl.col("own_count") < OWN_TAX_INVOICES) & (
        (pl.col("share") - pl.col("country_share")).abs() <= SHARE_TOLERANCE
    ).fill_null(value=False)
    expected = pl.coalesce("own_share", "country_share")
    deviation = (pl.col("share") - expected).abs()
    is_off = deviation > SHARE_TOLERANCE + 1 / pl.col("subtotal_minor")
    return judged.with_columns(
        expected_tax_share=expected,
        tax_basis=pl.when(pl.col("own_share").is_not_null())
        .then(pl.lit("own"))
        .when(pl.col("country_share").is_not_null())
        .then(pl.lit("country")),
        tax_share=pl.when(pl.col("share").is_not_null() & expected.is_not_null()).then(
            pl.when(is_off & ~is_excused).then(deviation).otherwise(0.0)
        ),
    )


def _placed(invoices: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """Invoices with country, and ``place``: entity, country, region, business with a tax id."""
    is_business = pl.col("tax_id").is_not_null() | pl.col("is_business").fill_null(value=False)
    where = customers.select(
        "customer_id",
        "country",
        alike=pl.concat_str(
            pl.col("country"), pl.col("region").fill_null(""), is_business, separator="|"
        ),
    )
    entity = pl.col("legal_entity").fill_null("")
    return invoices.join(where, on="customer_id", how="left", maintain_order="left").with_columns(
        entity=entity, place=pl.concat_str(entity, "alike", separator="|")
    )


def _with_currency(frame: pl.DataFrame, books: Books, customers: pl.DataFrame) -> pl.DataFrame:
    """Whether the customer, or a new customer's country, never had this currency."""
    past = books.invoices.join(
        customers.select("customer_id", "country"), on="customer_id", how="left"
    ).with_columns(entity=pl.col("legal_entity").fill_null(""))
    own = past.group_by("customer_id", "currency").agg(own_on=pl.col("issued_on").min())
    last = past.group_by("customer_id", "issued_on").agg(last_currency=pl.col("currency").last())
    place = past.group_by("entity", "country", "currency").agg(place_on=pl.col("issued_on").min())
    any_place = past.group_by("entity", "country").agg(place_since=pl.col("issued_on").min())
    judged = (
        frame.join(own, on=["customer_id", "currency"], how="left")
        .join(place, on=["entity", "country", "currency"], how="left", nulls_equal=True)
        .join(any_place, on=["entity", "country"], how="left", nulls_equal=True)
    )
    judged = join_earlier(judged, last, ["customer_id"])
    day = pl.col("issued_on")
    is_own = pl.col("last_currency").is_not_null()
    never_own = (pl.col("own_on") >= day).fill_null(value=True)
    never_here = (pl.col("place_on") >= day).fill_null(value=True)
    return judged.with_columns(
        usual_currency=pl.col("last_currency"),
        currency_off=pl.when(is_own)
        .then(never_own.cast(pl.Float64))
        .when(pl.col("place_since") < day)
        .then(never_here.cast(pl.Float64) * 0.5),
    )
