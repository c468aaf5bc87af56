"""What does not change on the lines of ordinary invoices: rate, discount, tax code.

Each feature is the money-weighted size of a deviation, 0 when the invoice keeps to its own past
and null where there is nothing to compare with. A forest hardly sees such columns, because they
are nearly constant; so they are compared exactly.
"""

from functools import cache
from typing import Final

import polars as pl

from prebill.core.money import minor_factor
from prebill.core.schemas.frame import collected
from prebill.core.scoring.features.declaration import AGREED, CORRECTED, LINES, alike
from prebill.core.scoring.frames import Books
from prebill.core.scoring.windows import join_earlier

#: A rate read from a rounded amount is only as exact as the rounding of that amount.
ROUNDING_MINOR: Final = 0.51
RATE_TOLERANCE: Final = 1e-6
#: A product whose rate changes on more of its lines than this has no constant rate (tiers).
CHANGING_SHARE: Final = 0.25
#: Correlation of deviations within an invoice.
LINE_CORRELATION: Final = 0.1
#: Discount shares closer than this are equal (rounding of small amounts).
SHARE_TOLERANCE: Final = 0.002

_KEY: Final = ("series", "product", "issued_on")
#: Surprise → the deviation of lines that it counts.
COUNTED: Final[dict[str, str]] = {"rate_unseen_lines": "off_unseen", "rate_own_lines": "off_own"}

#: Feature → what it means.
_MEANINGS: Final = {
    "rate_unseen": "share of the money priced at a rate at which nobody bought the product before",
    "rate_own": "share of the money priced off the customer's own last rate",
    "rate_unseen_lines": "surprise at so many lines with a rate never seen, in nats",
    "rate_own_lines": "surprise at so many lines off the customer's own last rate, in nats",
    "tax_code": "share of the money whose tax code the customer never had for the product",
    "discount_share": "share of the money whose discount differs from the customer's own last",
    "line_sums": "amounts against quantity times unit price, share of the subtotal",
}
FEATURES: Final = alike(
    _MEANINGS,
    *LINES,
    "invoice_lines.tax_code",
    *CORRECTED,
    *AGREED,
    null="no lines; of rates and tax codes also: nothing earlier of the product",
)


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
    facts = (books.lines.lazy().join(heads.lazy(), on="invoice_id")).select(
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
    plan = facts.with_columns(
        rate_key=pl.col("rate").round_sig_figs(6),
        rate_tolerance=pl.when(exact).then(RATE_TOLERANCE).otherwise(loose + RATE_TOLERANCE),
    )
    return collected(plan)


def rates(facts: pl.DataFrame) -> pl.DataFrame:
    """The rate of each product that somebody's invoice had, by day: ``product, issued_on``."""
    return facts.group_by("product", "issued_on").agg(usual_rate=pl.col("rate").median())


def seen(facts: pl.DataFrame) -> pl.DataFrame:
    """When a rate of a product was first billed, to whom, and first to somebody else.

    Returns
    -------
    pl.DataFrame, one row per (product, rate_key)
        ``first_on, first_customer, other_on``.
    """
    return (
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


def profile(facts: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The customer's own last rate and treatment of each product, before a day.

    Parameters
    ----------
    facts : pl.DataFrame
        From :func:`line_facts`, of every visible invoice.
    asked : pl.DataFrame
        Those of the invoices to judge; the day itself is not seen.

    Returns
    -------
    pl.DataFrame, one row per (series, product, issued_on) that has an earlier line
        The key with ``own_rate, own_quantity, own_amount`` (both summed), ``own_tax_code,
        own_discount``; where an asked line differs from these, ``settled_rate, settled_tax_code,
        settled_discount``: what the two invoices before the last one had, if they agree.
    """
    own = _latest(facts, asked.select(*_KEY).unique())
    differing = (
        asked.join(own, on=_KEY)
        .filter(_differs("rate", "own_rate") | _has_other_treatment())
        .select("series", "product", "issued_on", "last_on")
        .unique()
    )
    return own.join(_settled(facts, differing), on=_KEY, how="left").drop("last_on")


def profile_of_any(facts: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """What :func:`profile` says, whatever the asked lines will be.

    Parameters
    ----------
    facts : pl.DataFrame
        From :func:`line_facts`, of every visible invoice.
    keys : pl.DataFrame
        ``series, product, issued_on``.

    Returns
    -------
    pl.DataFrame
        With ``until_on``, the day of the last line, and ``settled_on``, that of the oldest of the
        three invoices that ``settled_…`` rest on. These change no line that is as the last one was.
    """
    own = _latest(facts, keys.unique())
    settled = _settled(facts, own.select(*_KEY, "last_on"))
    days = facts.group_by("series", "product").agg(
        settled_on=pl.col("issued_on").unique().sort(descending=True).get(2, null_on_oob=True)
    )
    return (
        own.join(settled, on=_KEY, how="left")
        .join(days, on=["series", "product"], how="left")
        .rename({"last_on": "until_on"})
    )


def _latest(facts: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """What stood on the last invoice with the product before a day, which is ``last_on``."""
    by = ["series", "product"]
    days = facts.select(*by, "issued_on", last_on="issued_on")
    found = join_earlier(wanted, days, by).filter(pl.col("last_on").is_not_null())
    own = (
        facts.join(found, left_on=[*by, "issued_on"], right_on=[*by, "last_on"], how="semi")
        .with_columns(discount=_discount())
        .sort("invoice_id", "line_id")
        .group_by(*by, last_on="issued_on", maintain_order=True)
        .agg(
            own_rate=pl.col("rate").last(),
            own_quantity=pl.col("quantity").sum(),
            own_amount=pl.col("amount").sum(),
            own_tax_code=pl.col("tax_code").last(),
            own_discount=pl.col("discount").last(),
        )
    )
    return found.join(own, on=[*by, "last_on"])


def _settled(facts: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """What two invoices in a row had before the last one: it may have been the wrong one.

    An invoice that was issued wrong would otherwise make the next, right one look wrong.
    """
    by = ["series", "product"]
    own = facts.join(keys.select(by).unique(), on=by, how="semi")
    second = _latest(own, keys.select(*by, issued_on="last_on").unique())
    third = _latest(own, second.select(*by, issued_on="last_on").unique()).drop("last_on")
    both = second.join(third, left_on=[*by, "last_on"], right_on=_KEY, suffix="_third")
    agreed = both.select(
        *by,
        pl.col("issued_on").alias("last_on"),
        *(
            pl.when(pl.col(f"own_{name}") == pl.col(f"own_{name}_third"))
            .then(f"own_{name}")
            .alias(f"settled_{name}")
            for name in ("rate", "tax_code", "discount")
        ),
    )
    return keys.join(agreed, on=[*by, "last_on"]).drop("last_on")


def against_past(
    lines: pl.DataFrame, profile: pl.DataFrame, *, rates: pl.DataFrame, seen: pl.DataFrame
) -> pl.DataFrame:
    """Set lines beside the customer's own past and everybody's.

    Parameters
    ----------
    lines : pl.DataFrame
        Rows of :func:`line_facts` to judge.
    profile : pl.DataFrame
        From :func:`profile`.
    rates, seen : pl.DataFrame
        From :func:`rates` and :func:`seen`, of everybody.

    Returns
    -------
    pl.DataFrame, one row per line
        ``lines`` with the columns of ``profile``, ``usual_rate`` (latest of anybody) and
        ``is_seen`` (somebody else had this rate before, or has it in the same batch).
    """
    wanted = lines.lazy().join(profile.lazy(), on=["series", "product", "issued_on"], how="left")
    wanted = join_earlier(wanted, rates.lazy(), ["product"])
    if lines.height < seen.height // 100:  # a look through the rates is faster than a hash of them
        seen = seen.filter(pl.col("rate_key").is_in(lines["rate_key"].implode()))
    plan = wanted.join(seen.lazy(), on=["product", "rate_key"], how="left").select(
        *lines.columns,
        "own_rate",
        "own_quantity",
        "own_amount",
        "own_tax_code",
        "own_discount",
        "settled_rate",
        "settled_tax_code",
        "settled_discount",
        "usual_rate",
        is_seen=pl.when(pl.col("first_customer") == pl.col("customer_id"))
        .then(pl.col("other_on") <= pl.col("issued_on"))
        .otherwise(pl.col("first_on") <= pl.col("issued_on"))
        .fill_null(value=False),
    )
    return collected(plan)


def constancy(lines: pl.DataFrame) -> pl.DataFrame:
    """How often the rate of a product, and its discount, change.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`against_past`, of settled past invoices.

    Returns
    -------
    pl.DataFrame
        ``product, changing, discount_changing`` (shares of its lines).
    """
    has_changed = {
        "changing": _has_other_rate(),
        "discount_changing": _has_other_discount().fill_null(value=False),
    }
    return (
        lines.filter(pl.col("own_rate").is_not_null())
        .group_by("product")
        .agg(
            ((changed.sum() + 0.5) / (pl.len() + 4)).alias(name)
            for name, changed in has_changed.items()
        )
    )


def line_features(lines: pl.DataFrame, constancy: pl.DataFrame) -> pl.DataFrame:
    """Each line's deviations in minor units, with what would have been ordinary.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`against_past`.
    constancy : pl.DataFrame
        From :func:`constancy`: which products have constant rates.

    Returns
    -------
    pl.DataFrame, one row per line
        ``lines`` with ``expected_rate``, ``off_unseen``, ``off_own``, ``off_discount``,
        ``off_tax_code``: minor units, signed (> 0 over-billed), 0 on an ordinary line, null where
        there is nothing to compare with.
    """
    known = lines.lazy().join(constancy.lazy(), on="product", how="left")
    judged = known.with_columns(
        pl.col("changing", "discount_changing").fill_null(0.125),
        expected_rate=pl.coalesce("own_rate", "usual_rate"),
    )
    return collected(judged.with_columns(_deviations()))


@cache
def _deviations() -> list[pl.Expr]:
    """What :func:`line_features` adds; made once, as they cost a few lines more than their sums."""
    has_rate = pl.col("changing") <= CHANGING_SHARE
    # Units that are included look like a discount, a larger one of fewer units.
    has_discount = pl.col("discount_changing") <= CHANGING_SHARE
    off_expected = _off("expected_rate")
    is_unseen = ~pl.col("is_seen") & _differs("rate", "expected_rate") & ~_is_settled_rate()
    list_amount = pl.col("list_rate") * pl.col("quantity")
    off_discount = pl.col("amount") - list_amount * (1 - pl.col("own_discount"))
    changed_code = _has_other_code().fill_null(value=False)
    deviations = {
        "off_unseen": pl.when(pl.col("expected_rate").is_not_null() & has_rate).then(
            pl.when(is_unseen).then(off_expected).otherwise(0.0)
        ),
        "off_own": pl.when(pl.col("own_rate").is_not_null() & has_rate).then(
            pl.when(_has_other_rate()).then(_off("own_rate")).otherwise(0.0)
        ),
        "off_discount": pl.when(_has_other_discount().is_not_null() & has_discount).then(
            pl.when(_has_other_discount()).then(off_discount).otherwise(0.0)
        ),
        "off_tax_code": pl.when(pl.col("own_tax_code").is_not_null()).then(
            pl.when(changed_code).then(pl.col("amount")).otherwise(0.0)
        ),
    }
    return [deviation.alias(name) for name, deviation in deviations.items()]


def line_shares(lines: pl.DataFrame) -> dict[str, float]:
    """The share of past lines with a deviation, by column of ``COUNTED``."""
    known = {column: lines[column].drop_nulls() for column in COUNTED.values()}
    return {
        column: (values.filter(values != 0).len() + 0.5) / (values.len() + 1.0)
        for column, values in known.items()
    }


def features(lines: pl.DataFrame, shares: dict[str, float]) -> pl.DataFrame:
    """Deviations of whole invoices, as shares of their lines' money.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`line_features`.
    shares : dict of float
        From :func:`line_shares`: how many lines ordinarily deviate.

    Returns
    -------
    pl.DataFrame, one row per invoice with lines
        ``invoice_id``, the columns of ``FEATURES``, ``line_amount``, ``line_tax`` (minor units).
    """
    base = pl.max_horizontal(pl.col("amount").abs().sum(), pl.lit(1.0))
    return lines.group_by("invoice_id").agg(
        *_surprises(shares),
        rate_unseen=_share_off("off_unseen", base),
        rate_own=_share_off("off_own", base),
        discount_share=_share_off("off_discount", base),
        tax_code=_share_off("off_tax_code", base),
        line_sums=_line_sums() / base,
        line_amount=pl.col("amount").sum(),
        line_tax=pl.when(pl.col("tax").is_not_null().all()).then(pl.col("tax").sum()),
    )


def _discount() -> pl.Expr:
    """Discount share of a line; null without list rate."""
    gross = pl.col("list_rate") * pl.col("quantity")
    return pl.when(gross.is_not_null() & (gross != 0)).then(1 - pl.col("amount") / gross)


def _has_other_rate() -> pl.Expr:
    """Whether a line has another rate than the customer's last, and than the one before it."""
    return _differs("rate", "own_rate") & ~_is_settled_rate()


def _is_settled_rate() -> pl.Expr:
    return pl.col("settled_rate").is_not_null() & ~_differs("rate", "settled_rate")


def _has_other_discount() -> pl.Expr:
    """Whether a line has another discount than the customer's last; null where one is unknown."""
    settled = (_discount() - pl.col("settled_discount")).abs() <= SHARE_TOLERANCE
    return _is_other_discount() & ~settled.fill_null(value=False)


def _has_other_code() -> pl.Expr:
    """Whether a line has another tax code than the customer's last; null where one is unknown."""
    settled = (pl.col("tax_code") == pl.col("settled_tax_code")).fill_null(value=False)
    return (pl.col("tax_code") != pl.col("own_tax_code")) & ~settled


def _has_other_treatment() -> pl.Expr:
    """Whether tax code or discount differ from the last invoice's."""
    other_code = pl.col("tax_code") != pl.col("own_tax_code")
    return other_code.fill_null(value=False) | _is_other_discount().fill_null(value=False)


def _is_other_discount() -> pl.Expr:
    return (_discount() - pl.col("own_discount")).abs() > SHARE_TOLERANCE


def _differs(rate: str, other: str) -> pl.Expr:
    scale = pl.max_horizontal(pl.col(rate).abs(), pl.col(other).abs())
    return ((pl.col(rate) - pl.col(other)).abs() > scale * 2 * pl.col("rate_tolerance")) & (
        pl.col(other).is_not_null()
    )


def _off(rate: str) -> pl.Expr:
    """Minor units billed more than at another rate."""
    ordinary = pl.when(pl.col("rate") != 0).then(pl.col(rate) / pl.col("rate"))
    return pl.col("amount") * (1 - ordinary.fill_null(0.0))


def _surprises(shares: dict[str, float]) -> list[pl.Expr]:
    """Aggregations: log likelihood ratio of the invoice's share of deviating lines to the usual.

    Twenty lines that all deviate are far rarer than one of one; the money alone can't tell.
    """
    found = []
    for name, column in COUNTED.items():
        usual = shares[column]
        count = pl.col(column).is_not_null().sum()
        off = (pl.col(column) != 0).sum()
        share = off / count
        clean = pl.when(off < count).then((count - off) * ((1 - share) / (1 - usual)).log())
        # Lines of one invoice deviate together (a renegotiated price list): count them as fewer.
        together = 1 + (count - 1) * LINE_CORRELATION
        ratio = (off * (share / usual).log() + clean.fill_null(0.0)) / together
        found.append(
            pl.when(count > 0).then(pl.when(share > usual).then(ratio).otherwise(0.0)).alias(name)
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
