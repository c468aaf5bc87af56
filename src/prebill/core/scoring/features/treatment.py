"""How the whole document is treated: tax share, currency, sums; exact against its own past.

Amounts vary, these don't: a customer's tax share and currency are the same every month, and a
document adds up.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.schemas.frame import collected
from prebill.core.scoring.features.declaration import LINES, TOTALS, TREATED, alike
from prebill.core.scoring.windows import Rows, join_earlier, latest_values, row_median

#: Own invoices that outvote the country's usual tax share.
OWN_TAX_INVOICES: Final = 3
#: Tax shares closer than this are equal (rounding of small amounts).
SHARE_TOLERANCE: Final = 0.002

_SHARE: Final = (pl.col("tax_minor") / pl.col("subtotal_minor")).cast(pl.Float64)
HAS_TAX: Final = pl.col("tax_minor").is_not_null() & (pl.col("subtotal_minor") > 0)

#: Feature → what it means.
_MEANINGS: Final = {
    "tax_share": "tax share less the customer's own last, or its country's usual one",
    "currency_off": "1 when the customer never had this currency, nor its entity for its country",
    "sums": "subtotal, tax and total against the lines and each other, share of the total",
}
FEATURES: Final = alike(
    _MEANINGS,
    *TOTALS,
    *LINES,
    *TREATED,
    null="no tax, subtotal or lines, or nothing earlier to compare with",
)


@dataclass(frozen=True, slots=True)
class Everybody:
    """What customers of a place ordinarily have; a place is entity, country, region, business."""

    #: ``place, issued_on, country_share``: the most frequent tax share of a day.
    tax_shares: pl.DataFrame
    #: ``entity, country, currency, place_on``: when the currency was first billed there.
    currencies: pl.DataFrame
    #: ``entity, country, place_since``: when anything was first billed there.
    since: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Own:
    """What a customer's own earlier invoices had, as of each asked day.

    ``tax_shares``: ``customer_id, entity, issued_on, own_share, own_count``; ``last``:
    ``customer_id, issued_on, last_currency``; ``currencies``: ``customer_id, currency, own_on``.
    """

    tax_shares: pl.DataFrame
    last: pl.DataFrame
    currencies: pl.DataFrame


def everybody(invoices: pl.DataFrame, customers: pl.DataFrame) -> Everybody:
    """Summarise every visible invoice by place.

    Parameters
    ----------
    invoices : pl.DataFrame
        Columns of ``Books.invoices``.
    customers : pl.DataFrame
        ``CUSTOMERS``: what their country, region and tax id imply.
    """
    placed = _placed(invoices, customers)
    tax_shares = (
        _taxed(placed)
        .filter(pl.col("country").is_not_null())
        .group_by("place", "issued_on")
        .agg(country_share=pl.col("share").mode().min())
    )
    here = ["entity", "country"]
    currencies = placed.group_by(*here, "currency").agg(place_on=pl.col("issued_on").min())
    since = placed.group_by(here).agg(place_since=pl.col("issued_on").min())
    return Everybody(tax_shares, currencies, since)


def profile(invoices: pl.DataFrame, keys: pl.DataFrame) -> Own:
    """What each customer's own invoices had before a day.

    Parameters
    ----------
    invoices : pl.DataFrame
        Every visible invoice, columns of ``Books.invoices``.
    keys : pl.DataFrame
        ``customer_id, legal_entity, issued_on``: what is asked for; the day itself is not seen.
    """
    past = _with_entity(invoices).join(
        keys.select("customer_id").unique(), on="customer_id", how="semi"
    )
    wanted = _with_entity(keys).select("customer_id", "entity", "issued_on").unique()
    by = pl.concat_str("customer_id", "entity", separator="|")
    own = latest_values(
        _taxed(past).with_columns(by=by),
        wanted.select(as_of_on="issued_on", by=by),
        ["share"],
        by="by",
    )
    tax_shares = wanted.with_columns(
        own_share=pl.Series("own", row_median(own["share"]), nan_to_null=True),
        own_count=pl.Series("count", own.count),
    )
    latest = past.group_by("customer_id", "issued_on").agg(last_currency=pl.col("currency").last())
    last = join_earlier(wanted.select("customer_id", "issued_on").unique(), latest, ["customer_id"])
    currencies = past.group_by("customer_id", "currency").agg(own_on=pl.col("issued_on").min())
    return Own(tax_shares, last, currencies)


def features(
    rows: pl.DataFrame,
    by_invoice: pl.DataFrame,
    customers: pl.DataFrame,
    *,
    own: Own,
    everybody: Everybody,
) -> pl.DataFrame:
    """Deviations of documents from their own past.

    Parameters
    ----------
    rows : pl.DataFrame
        Invoices to judge, columns of ``Books.invoices``.
    by_invoice : pl.DataFrame
        ``invoice_id, line_amount, line_tax``: what their lines sum to.
    customers : pl.DataFrame
        ``CUSTOMERS``: what their country, region and tax id imply.
    own : Own
        From :func:`profile`.
    everybody : Everybody
        From :func:`everybody`.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id``, the columns of ``FEATURES``, ``expected_tax_share``, ``tax_basis`` (own,
        country), ``usual_currency``, ``sums_off_minor``.
    """
    sums = by_invoice.select("invoice_id", "line_amount", "line_tax")
    frame = _placed(rows.lazy(), customers.lazy()).join(sums.lazy(), on="invoice_id", how="left")
    frame = _with_tax(frame, own.tax_shares.lazy(), everybody.tax_shares.lazy())
    frame = _with_currency(frame, own, everybody)
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
    off = pl.col("sums_off_minor")
    tolerated = pl.when(off > 2 + total.abs() * 1e-4).then(off).when(off.is_not_null()).then(0.0)
    frame = frame.with_columns(sums_off_minor=sums_off).with_columns(sums_off_minor=tolerated)
    plan = frame.select(
        "invoice_id",
        "tax_share",
        "currency_off",
        "expected_tax_share",
        "tax_basis",
        "usual_currency",
        "sums_off_minor",
        sums=off / pl.max_horizontal(total.abs(), pl.lit(1.0)),
    )
    return collected(plan)


def _with_tax(frame: pl.LazyFrame, own: pl.LazyFrame, usual: pl.LazyFrame) -> pl.LazyFrame:
    """The tax share against the customer's own ordinary one, else that of its country's alike."""
    judged = frame.with_columns(share=pl.when(HAS_TAX).then(_SHARE)).join(
        own, on=["customer_id", "entity", "issued_on"], how="left"
    )
    judged = join_earlier(judged, usual, ["place"])
    # One or two own invoices may have been wrong themselves: the country's usual share excuses.
    is_excused = (pl.col("own_count") < OWN_TAX_INVOICES) & (
        (pl.col("share") - pl.col("country_share")).abs() <= SHARE_TOLERANCE
    ).fill_null(value=False)
    judged = judged.with_columns(expected_tax_share=pl.coalesce("own_share", "country_share"))
    expected = pl.col("expected_tax_share")
    deviation = (pl.col("share") - expected).abs()
    is_off = deviation > SHARE_TOLERANCE + 1 / pl.col("subtotal_minor")
    return judged.with_columns(
        tax_basis=pl.when(pl.col("own_share").is_not_null())
        .then(pl.lit("own"))
        .when(pl.col("country_share").is_not_null())
        .then(pl.lit("country")),
        tax_share=pl.when(pl.col("share").is_not_null() & expected.is_not_null()).then(
            pl.when(is_off & ~is_excused).then(deviation).otherwise(0.0)
        ),
    )


def _with_currency(frame: pl.LazyFrame, own: Own, everybody: Everybody) -> pl.LazyFrame:
    """Whether the customer, or a new customer's country, never had this currency."""
    here = ["entity", "country"]
    judged = (
        frame.join(own.currencies.lazy(), on=["customer_id", "currency"], how="left")
        .join(own.last.lazy(), on=["customer_id", "issued_on"], how="left")
        .join(everybody.currencies.lazy(), on=[*here, "currency"], how="left", nulls_equal=True)
        .join(everybody.since.lazy(), on=here, how="left", nulls_equal=True)
    )
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


def _taxed(invoices: pl.DataFrame) -> pl.DataFrame:
    """Invoices that say their tax, with its rounded share."""
    return invoices.filter(HAS_TAX).with_columns(share=_SHARE.round(3))


def _with_entity(invoices: Rows) -> Rows:
    return invoices.with_columns(entity=pl.col("legal_entity").fill_null(""))


def _placed(invoices: Rows, customers: Rows) -> Rows:
    """Invoices with country, and ``place``: entity, country, region, business with a tax id."""
    is_business = pl.col("tax_id").is_not_null() | pl.col("is_business").fill_null(value=False)
    where = customers.select(
        "customer_id",
        "country",
        alike=pl.concat_str(
            pl.col("country"), pl.col("region").fill_null(""), is_business, separator="|"
        ),
    )
    return (
        _with_entity(invoices)
        .join(where, on="customer_id", how="left", maintain_order="left")
        .with_columns(place=pl.concat_str("entity", "alike", separator="|"))
    )
