"""What does not change on ordinary invoices: rate, tax share, discount share, currency, sums.

Each feature is the money-weighted size of a deviation, 0 when the invoice keeps to its own past
and null where there is nothing to compare with. A forest hardly sees such columns, because they
are nearly constant; so they are compared exactly.
"""

from typing import Final

import polars as pl

from prebill.core.money import minor_factor
from prebill.core.scoring.frames import Books
from prebill.core.scoring.windows import latest_values, row_median

#: A rate read from a rounded amount is only as exact as the rounding of that amount.
ROUNDING_MINOR: Final = 0.51
RATE_TOLERANCE: Final = 1e-6
#: A product whose rate changes on more of its lines than this has no constant rate (tiers).
CHANGING_SHARE: Final = 0.25
#: Correlation of deviations within an invoice.
LINE_CORRELATION: Final = 0.1
#: Own invoices that outvote the country's usual tax share.
OWN_TAX_INVOICES: Final = 3
#: Tax shares and discount shares closer than this are equal (rounding of small amounts).
SHARE_TOLERANCE: Final = 0.002

#: Feature → what it means.
FEATURES: Final[dict[str, str]] = {
    "rate_unseen": "share of the money priced at a rate at which nobody bought the product before",
    "rate_own": "share of the money priced off the customer's own last rate",
    "rate_unseen_lines": "surprise at so many lines with a rate never seen, in nats",
    "rate_own_lines": "surprise at so many lines off the customer's own last rate, in nats",
    "tax_share": "tax share less the customer's own last, or its country's usual one",
    "tax_code": "share of the money whose tax code the customer never had for the product",
    "discount_share": "share of the money whose discount differs from the customer's own last",
    "currency_off": "1 when the customer never had this currency, nor its entity for its country",
    "sums": "subtotal, tax and total against the lines and each other, share of the total",
    "line_sums": "amounts against quantity times unit price, share of the subtotal",
}


def line_facts(books: Books) -> pl.DataFrame:
    """Lines with the rate they were priced at.

    Returns
    -------
    pl.DataFrame, one row per line
        ``invoice_id, line_id, product, tax_code``, the invoice's ``customer_id, series, issued_on,
        is_draft``, ``quantity, amount`` (minor units), ``list_rate`` (minor units a unit; null
        without unit price), ``rate`` (list rate, else amount a unit, else the amount),
        ``rate_key`` (six significant digits) and ``rate_tolerance`` (relative).
    """
    heads = books.invoices.select(
        "invoice_id", "customer_id", "series", "currency", "issued_on", "is_draft"
    )
    amount = pl.col("amount_minor").cast(pl.Float64)
    quantity = pl.col("quantity").cast(pl.Float64)
    has_quantity = quantity.is_not_null() & (quantity != 0)
    price_minor = pl.col("unit_price").cast(pl.Float64) * minor_factor(pl.col("currency")).cast(
        pl.Float64
    )
    facts = books.lines.join(heads, on="invoice_id").select(
        "invoice_id",
        "line_id",
        "product",
        "tax_code",
        "customer_id",
        "series",
        "issued_on",
        "is_draft",
        quantity=quantity,
        amount=amount,
        tax=pl.col("tax_minor").cast(pl.Float64),
        list_rate=price_minor,
        rate=pl.coalesce(
            price_minor, pl.when(has_quantity).then(amount / quantity).otherwise(amount)
        ),
    )
    exact = pl.col("list_rate").is_not_null()
    loose = ROUNDING_MINOR / pl.max_horizontal(pl.col("amount").abs(), pl.lit(1.0))
    return facts.with_columns(
        rate_key=pl.col("rate").round_sig_figs(6),
        rate_tolerance=pl.when(exact).then(RATE_TOLERANCE).otherwise(loose + RATE_TOLERANCE),
    )


def profile(facts: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """The customer's own last rate and treatment of each product, before a day.

    Parameters
    ----------
    facts : pl.DataFrame
        From :func:`line_facts`, of every visible invoice.
    keys : pl.DataFrame
        Lines to judge: rows of ``facts``.

    Returns
    -------
    pl.DataFrame, one row per line of ``keys``
        ``invoice_id, line_id`` with ``own_rate, own_tax_code, own_discount`` (latest earlier line
        of this customer and product), ``usual_rate`` (latest of anybody) and ``is_seen`` (somebody
        else had this rate before, or has it in the same batch).
    """
    discounted = facts.with_columns(discount=_discount())
    own = (
        discounted.sort("issued_on", "invoice_id", "line_id")
        .group_by("series", "product", "issued_on", maintain_order=True)
        .agg(
            own_rate=pl.col("rate").last(),
            own_tax_code=pl.col("tax_code").last(),
            own_discount=pl.col("discount").last(),
        )
        .sort("issued_on")
    )
    anybody = own.group_by("product", "issued_on").agg(usual_rate=pl.col("own_rate").median())
    wanted = keys.sort("issued_on")
    for known, by in ((own, ["series", "product"]), (anybody.sort("issued_on"), ["product"])):
        wanted = wanted.join_asof(
            known,
            on="issued_on",
            by=by,
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
    seen = _first_seen(facts)
    return wanted.join(seen, on=["product", "rate_key"], how="left").select(
        *keys.columns,
        "own_rate",
        "own_tax_code",
        "own_discount",
        "usual_rate",
        is_seen=pl.when(pl.col("first_customer") == pl.col("customer_id"))
        .then(pl.col("other_on") <= pl.col("issued_on"))
        .otherwise(pl.col("first_on") <= pl.col("issued_on"))
        .fill_null(value=False),
    )


def line_features(lines: pl.DataFrame, reference: pl.DataFrame) -> pl.DataFrame:
    """Each line's deviations in minor units, with what would have been ordinary.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`profile`.
    reference : pl.DataFrame
        Those of ``lines`` that are settled past: they say which products have constant rates.

    Returns
    -------
    pl.DataFrame, one row per line
        ``lines`` with ``expected_rate``, ``off_unseen``, ``off_own``, ``off_discount``,
        ``off_tax_code``: minor units, signed (> 0 over-billed), 0 on an ordinary line, null where
        there is nothing to compare with.
    """
    moved = _differs("rate", "own_rate")
    constancy = (
        reference.filter(pl.col("own_rate").is_not_null())
        .group_by("product")
        .agg(changing=(moved.sum() + 0.5) / (pl.len() + 4))
    )
    judged = lines.join(constancy, on="product", how="left").with_columns(
        pl.col("changing").fill_null(0.125),
        expected_rate=pl.coalesce("own_rate", "usual_rate"),
    )
    has_rate = pl.col("changing") <= CHANGING_SHARE
    off_expected = _off("expected_rate")
    is_unseen = ~pl.col("is_seen") & _differs("rate", "expected_rate")
    discount = _discount()
    list_amount = pl.col("list_rate") * pl.col("quantity")
    off_discount = pl.col("amount") - list_amount * (1 - pl.col("own_discount"))
    changed_discount = (discount - pl.col("own_discount")).abs() > SHARE_TOLERANCE
    changed_code = (pl.col("tax_code") != pl.col("own_tax_code")).fill_null(value=False)
    return judged.with_columns(
        off_unseen=pl.when(pl.col("expected_rate").is_not_null() & has_rate).then(
            pl.when(is_unseen).then(off_expected).otherwise(0.0)
        ),
        off_own=pl.when(pl.col("own_rate").is_not_null() & has_rate).then(
            pl.when(moved).then(_off("own_rate")).otherwise(0.0)
        ),
        off_discount=pl.when(pl.col("own_discount").is_not_null() & discount.is_not_null()).then(
            pl.when(changed_discount).then(off_discount).otherwise(0.0)
        ),
        off_tax_code=pl.when(pl.col("own_tax_code").is_not_null()).then(
            pl.when(changed_code).then(pl.col("amount")).otherwise(0.0)
        ),
    )


def features(
    rows: pl.DataFrame, lines: pl.DataFrame, books: Books, countries: pl.DataFrame
) -> pl.DataFrame:
    """Deviations of whole invoices, as shares of the subtotal.

    Parameters
    ----------
    rows : pl.DataFrame
        Invoices to judge, columns of ``books.invoices``.
    lines : pl.DataFrame
        Their lines from :func:`line_features`.
    books : Books
        Every visible invoice, for the customer's own past tax share and currency.
    countries : pl.DataFrame
        ``CUSTOMERS``; only ``customer_id`` and ``country`` are read.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id``, the columns of ``FEATURES``, ``expected_tax_share``, ``tax_basis`` (own,
        country), ``usual_currency``, ``sums_off_minor``.
    """
    base = pl.max_horizontal(pl.col("amount").abs().sum(), pl.lit(1.0))
    by_invoice = lines.group_by("invoice_id").agg(
        *surprises(lines, {"rate_unseen_lines": "off_unseen", "rate_own_lines": "off_own"}),
        rate_unseen=_share_off("off_unseen", base),
        rate_own=_share_off("off_own", base),
        discount_share=_share_off("off_discount", base),
        tax_code=_share_off("off_tax_code", base),
        line_sums=_line_sums() / base,
        line_amount=pl.col("amount").sum(),
        line_tax=pl.when(pl.col("tax").is_not_null().all()).then(pl.col("tax").sum()),
    )
    frame = rows.join(by_invoice, on="invoice_id", how="left")
    frame = _with_tax(frame, books, countries)
    frame = _with_currency(frame, books, countries)
    subtotal, tax = pl.col("subtotal_minor"), pl.col("tax_minor")
    total = pl.col("total_minor").cast(pl.Float64)
    sums_off = pl.max_horizontal(
        (subtotal + tax - total).abs(),
        (pl.col("line_amount") - subtotal).abs(),
        (pl.col("line_tax") - tax).abs(),
        pl.when(subtotal.is_null()).then((pl.col("line_amount") + pl.col("line_tax") - total).abs()),
    )
    # One minor unit a line is rounding, not an error of the sums.
    tolerated = pl.when(sums_off > 2 + total.abs() * 1e-4).then(sums_off).otherwise(0.0)
    return frame.select(
        "invoice_id",
        "rate_unseen",
        "rate_own",
        "rate_unseen_lines",
        "rate_own_lines",
        "tax_share",
        "tax_code",
        "discount_share",
        "currency_off",
        "line_sums",
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
        .sort("issued_on")
    )
    judged = (
        judged.with_columns(
            own_share=pl.Series("own", row_median(own["share"])).fill_nan(None),
            own_count=pl.Series("count", own.count),
        )
        .sort("issued_on")
        .join_asof(usual, on="issued_on", by="place", **_EARLIER)
    )
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


def _with_currency(frame: pl.DataFrame, books: Books, countries: pl.DataFrame) -> pl.DataFrame:
    """Whether the customer, or a new customer's country, never had this currency."""
    past = books.invoices.join(
        countries.select("customer_id", "country"), on="customer_id", how="left"
    ).with_columns(entity=pl.col("legal_entity").fill_null(""))
    own = past.group_by("customer_id", "currency").agg(own_on=pl.col("issued_on").min())
    last = past.group_by("customer_id", "issued_on").agg(last_currency=pl.col("currency").last())
    place = past.group_by("entity", "country", "currency").agg(
        place_on=pl.col("issued_on").min()
    )
    any_place = past.group_by("entity", "country").agg(place_since=pl.col("issued_on").min())
    judged = (
        frame.join(own, on=["customer_id", "currency"], how="left")
        .join(place, on=["entity", "country", "currency"], how="left", nulls_equal=True)
        .join(any_place, on=["entity", "country"], how="left", nulls_equal=True)
        .sort("issued_on")
        .join_asof(last.sort("issued_on"), on="issued_on", by="customer_id", **_EARLIER)
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


_EARLIER: Final = {
    "strategy": "backward",
    "allow_exact_matches": False,
    "check_sortedness": False,
}


def _first_seen(facts: pl.DataFrame) -> pl.DataFrame:
    """When a rate of a product was first billed, to whom, and first to somebody else."""
    first = (
        facts.group_by("product", "rate_key", "customer_id")
        .agg(on=pl.col("issued_on").min())
        .sort("on", "customer_id")
        .group_by("product", "rate_key", maintain_order=True)
        .agg(
            first_on=pl.col("on").first(),
            first_customer=pl.col("customer_id").first(),
            other_on=pl.col("on").get(1, null_on_oob=True),
        )
    )
    return first


def _discount() -> pl.Expr:
    """Discount share of a line; null without list rate."""
    gross = pl.col("list_rate") * pl.col("quantity")
    return pl.when(gross.is_not_null() & (gross != 0)).then(1 - pl.col("amount") / gross)


def _differs(rate: str, other: str) -> pl.Expr:
    scale = pl.max_horizontal(pl.col(rate).abs(), pl.col(other).abs())
    return ((pl.col(rate) - pl.col(other)).abs() > scale * 2 * pl.col("rate_tolerance")) & (
        pl.col(other).is_not_null()
    )


def _off(rate: str) -> pl.Expr:
    """Minor units billed more than at another rate."""
    ordinary = pl.when(pl.col("rate") != 0).then(pl.col(rate) / pl.col("rate"))
    return pl.col("amount") * (1 - ordinary.fill_null(0.0))


def surprises(lines: pl.DataFrame, columns: dict[str, str]) -> list[pl.Expr]:
    """Aggregations: log likelihood ratio of the invoice's share of deviating lines to the usual.

    Twenty lines that all deviate are far rarer than one of one; the money alone can't tell.
    """
    found = []
    for name, column in columns.items():
        past = lines.filter(~pl.col("is_draft"), pl.col(column).is_not_null())
        hits = past.filter(pl.col(column) != 0).height
        usual = (hits + 0.5) / (past.height + 1.0)
        count = pl.col(column).is_not_null().sum()
        off = (pl.col(column) != 0).sum()
        share = off / count
        clean = pl.when(off < count).then((count - off) * ((1 - share) / (1 - usual)).log())
        # Lines of one invoice deviate together (a renegotiated price list): count them as fewer.
        together = 1 + (count - 1) * LINE_CORRELATION
        ratio = (off * (share / usual).log() + clean.fill_null(0.0)) / together
        found.append(
            pl.when(count > 0)
            .then(pl.when(share > usual).then(ratio).otherwise(0.0))
            .alias(name)
        )
    return found


def _share_off(column: str, base: pl.Expr) -> pl.Expr:
    known = pl.col(column).is_not_null().any()
    return pl.when(known).then(pl.col(column).abs().sum() / base)


def _line_sums() -> pl.Expr:
    """Lines billed above quantity times unit price; a discount explains what is below."""
    gross = pl.col("list_rate") * pl.col("quantity")
    excess = (pl.col("amount").abs() - gross.abs()).clip(0.0)
    counted = pl.when(excess > 1 + gross.abs() * 1e-4).then(excess).otherwise(0.0)
    return pl.when(gross.is_not_null().any()).then(counted.sum())
