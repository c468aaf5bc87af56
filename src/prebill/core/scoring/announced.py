"""Changes that the contract announced, where only its terms are known and not the price book.

The gate prices nothing: it knows how many units, which plan, price book and discount a contract has
from which day on. A line that follows a change of these is no deviation from the past; whether its
price is right is left to the rates that were billed before.
"""

from typing import Final

import polars as pl

from prebill.core.schemas.frame import Frame, text
from prebill.core.schemas.inbound import CONTRACT_TERMS

TERMS: Final = Frame(
    "terms",
    "Whose contract says what, from which day on.",
    ("contract_id", "effective_from_on"),
    (
        text("customer_id", "who pays"),
        *(one for one in CONTRACT_TERMS.columns if one.name != "term_id"),
    ),
)


def terms_of(
    subscriptions: pl.DataFrame, phases: pl.DataFrame, contract_terms: pl.DataFrame
) -> pl.DataFrame:
    """Say whose terms they are: those of the contract, else those that billing was told.

    Parameters
    ----------
    subscriptions, phases, contract_terms : pl.DataFrame
        ``SUBSCRIPTIONS``, ``SUBSCRIPTION_PHASES`` and ``CONTRACT_TERMS``; any may be empty.

    Returns
    -------
    pl.DataFrame, ``TERMS``
        The latest recorded version of each span.
    """
    owners = subscriptions.sort("recorded_at").unique("contract_id", keep="last")
    told = phases.rename({"phase_id": "term_id"}).join(
        subscriptions.select("subscription_id", "contract_id").unique(), on="subscription_id"
    )
    signed = contract_terms if contract_terms.height else told
    latest = signed.sort("recorded_at").unique(["contract_id", "term_id"], keep="last")
    return TERMS.conform(
        latest.join(owners.select("contract_id", "customer_id"), on="contract_id").drop("term_id")
    )


def as_announced(lines: pl.DataFrame, rows: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """A rate, discount or quantity that changed with the contract's terms is no deviation.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`features.invariants.line_features`.
    rows : pl.DataFrame
        ``invoice_id, customer_id, is_draft, issued_on, period_start_on`` of judged invoices.
    terms : pl.DataFrame
        From :func:`terms_of`.

    Returns
    -------
    pl.DataFrame
        ``lines`` with ``is_metered``: false on lines of drafts that follow a change, else null.
    """
    changed = _changed(rows.filter("is_draft"), terms)
    key = ["invoice_id", "product"]
    follows = (
        lines.join(changed, on="invoice_id")
        .with_columns(follows=_follows())
        .group_by("invoice_id", "contract_id", "product", "line_id")
        .agg(pl.col("follows").any(), pl.col("has_terms").any())
        .group_by("invoice_id", "contract_id", "product")
        .agg(pl.col("follows").all(), pl.col("has_terms").any())
        .filter("follows")
        .group_by(key)
        .agg(pl.col("has_terms").any())
    )
    joined = lines.join(follows, on=key, how="left", maintain_order="left")
    is_other = pl.col("has_terms").fill_null(value=False)
    return joined.with_columns(
        *(
            pl.when(is_other).then(pl.col(name) * 0).otherwise(pl.col(name)).alias(name)
            for name in ("off_own", "off_discount")
        ),
        is_metered=pl.when(pl.col("has_terms").is_not_null()).then(pl.lit(value=False)),
    ).drop("has_terms")


def _changed(drafts: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """Terms in force in a draft's period beside those of its contract before, where they differ.

    ``invoice_id, contract_id, now, before`` (quantities, ``before`` null for a new contract) and
    ``has_terms``: plan, price book or discount differ.
    """
    starts = pl.coalesce("period_start_on", pl.col("issued_on").dt.offset_by("-1mo"))
    known = (
        drafts.select("invoice_id", "customer_id", "issued_on", starts_on=starts)
        .join(terms, on="customer_id")
        .filter(
            pl.col("recorded_at").dt.date() <= pl.col("issued_on"),
            pl.col("effective_from_on") <= pl.col("issued_on"),
        )
        .with_columns(is_discounted=_is_discounted("starts_on"))
    )
    in_force = known.filter(
        pl.col("effective_to_on").is_null() | (pl.col("effective_to_on") > pl.col("starts_on"))
    )
    earlier = known.filter(pl.col("effective_from_on") < pl.col("starts_on")).with_columns(
        is_discounted=_is_discounted(pl.col("starts_on").dt.offset_by("-1d"))
    )
    key = ["invoice_id", "contract_id"]
    both = in_force.join(earlier, on=key, how="left", suffix="_before")
    is_other = pl.col("quantity").ne_missing(pl.col("quantity_before"))
    other_terms = pl.any_horizontal(
        pl.col(name) != pl.col(f"{name}_before")
        for name in ("plan_id", "price_book_id", "discount_percent", "is_discounted")
    )
    return (
        both.with_columns(has_terms=other_terms.fill_null(value=False))
        .filter(pl.col("has_terms") | is_other)
        .select(
            *key,
            "has_terms",
            now=pl.col("quantity").cast(pl.Float64),
            before=pl.col("quantity_before").cast(pl.Float64),
        )
    )


def _is_discounted(on: str | pl.Expr) -> pl.Expr:
    day = pl.col(on) if isinstance(on, str) else on
    return (pl.col("discount_percent") > 0) & (
        pl.col("discount_ends_on").is_null() | (pl.col("discount_ends_on") > day)
    )


def _follows() -> pl.Expr:
    """Whether a line has the units of the terms now, and had those of the terms before."""
    is_fresh = pl.col("own_amount").is_null()
    has_units = pl.col("quantity") == pl.col("now")
    moved = has_units & (pl.col("own_quantity") == pl.col("before"))
    same_units = pl.col("quantity") == pl.col("own_quantity")
    can_add = pl.col("has_terms") | pl.col("before").is_null()
    added = is_fresh & can_add & (has_units | (pl.col("quantity") == 1))
    return moved.fill_null(value=False) | (added | (pl.col("has_terms") & same_units)).fill_null(
        value=False
    )
