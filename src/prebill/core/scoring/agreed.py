"""What the contract prices to beside what the draft bills, a row a contract and charge.

And what follows for the comparison with the past: whatever changed as agreed is no deviation, so a
draft is set beside earlier invoices as if those terms had not changed.
"""

from typing import Final

import polars as pl

from prebill.core.scoring.frames import Agreements
from prebill.core.scoring.words import estimated_minor

#: Differences up to so many minor units a charge are rounding.
ROUNDING_MINOR: Final = 2


def compared(agreements: Agreements) -> pl.DataFrame:
    """Expected and billed money of each contract and charge, side by side.

    Returns
    -------
    pl.DataFrame, one row per (contract_id, charge_id)
        ``draft_id`` (null: the contract has no draft), ``currency``, and per side (suffix
        ``_agreed`` for the contract): ``amount_minor, quantity, discount_percent, unit_price,
        plan_id, price_book_id, name, meter``; ``line_ids``; null where a side has no such line.
    """
    return agreements.once("compared", lambda: _compared(agreements))


def _compared(agreements: Agreements) -> pl.DataFrame:
    firsts = first_drafts(agreements)
    billed = _by_charge(firsts, agreements.draft_lines)
    agreed = _by_charge(agreements.expected_drafts, agreements.expected_lines)
    sides = billed.join(
        agreed, on=["contract_id", "charge_id"], how="full", suffix="_agreed", coalesce=True
    )
    heads = firsts.select("contract_id", draft_id="draft_id", draft_currency="currency")
    wanted = agreements.expected_drafts.select(
        "contract_id", "customer_id", agreed_currency="currency"
    ).unique("contract_id", keep="first", maintain_order=True)
    return (
        sides.drop("draft_id", "draft_id_agreed", "currency", "currency_agreed")
        .join(heads.unique("contract_id", keep="first"), on="contract_id", how="left")
        .join(wanted, on="contract_id", how="left")
        .with_columns(
            is_comparable=(pl.col("draft_currency") == pl.col("agreed_currency")).fill_null(
                value=True
            ),
            currency=pl.coalesce("draft_currency", "agreed_currency"),
        )
        .sort("contract_id", "charge_id")
    )


def conforming(agreements: Agreements) -> pl.DataFrame:
    """Lines that bill what the contract prices to: whatever changed in them is agreed.

    Returns
    -------
    pl.DataFrame
        ``invoice_id, product`` (the charge), unique, and ``is_metered``.
    """
    rows = compared(agreements).filter(
        "is_comparable",
        (pl.col("amount_minor") - pl.col("amount_minor_agreed")).abs() <= ROUNDING_MINOR,
    )
    return (
        rows.select(
            invoice_id="draft_id", product="charge_id", is_metered=pl.col("meter").is_not_null()
        )
        .drop_nulls()
        .unique(["invoice_id", "product"], keep="first", maintain_order=True)
    )


def as_agreed(lines: pl.DataFrame, agreements: Agreements) -> pl.DataFrame:
    """A rate or discount that changed as the contract says is no deviation.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`features.invariants.line_features`.
    agreements : Agreements
        What was agreed.

    Returns
    -------
    pl.DataFrame
        ``lines`` with ``is_metered``: null unless the line bills what the contract prices to.
    """
    agreed = conforming(agreements)
    joined = lines.join(agreed, on=["invoice_id", "product"], how="left", maintain_order="left")
    is_agreed = pl.col("is_metered").is_not_null()
    return joined.with_columns(
        pl.when(is_agreed).then(pl.col(name) * 0).otherwise(pl.col(name)).alias(name)
        for name in ("off_unseen", "off_own", "off_discount")
    )


def ended(previous: pl.DataFrame, agreements: Agreements) -> pl.DataFrame:
    """What the customer's last invoice billed and the contract has no more.

    Parameters
    ----------
    previous : pl.DataFrame
        From :func:`features.line_mix.profile`.
    agreements : Agreements
        What was agreed.

    Returns
    -------
    pl.DataFrame, one row per draft of a contract that lost a charge
        ``invoice_id, ended_minor`` (before tax).
    """
    sides = compared(agreements).filter("is_comparable", pl.col("draft_id").is_not_null())
    present = sides.select(invoice_id="draft_id", product="charge_id")
    return (
        previous.filter(pl.col("product").is_not_null())
        .join(present.select("invoice_id").unique(), on="invoice_id", how="semi")
        .join(present, on=["invoice_id", "product"], how="anti")
        .group_by("invoice_id")
        .agg(ended_minor=pl.col("money").sum())
    )


def agreed_changes(lines: pl.DataFrame, ended: pl.DataFrame | None = None) -> pl.DataFrame:
    """What the contract changed in charges of drafts since the customer's last invoice.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`as_agreed`.
    ended : pl.DataFrame or None
        From :func:`ended`; None: what ended is not known.

    Returns
    -------
    pl.DataFrame, one row per draft with an agreed fixed charge or an ended one
        ``invoice_id``, ``agreed_change_minor`` (before tax; null without a past), ``is_agreed``:
        the draft bills nothing but agreed fixed charges.
    """
    is_whole = _is_agreed_fixed().all().over("invoice_id")
    fixed = lines.with_columns(is_whole=is_whole).filter(_is_agreed_fixed())
    by_product = fixed.group_by("invoice_id", "product").agg(
        pl.col("is_whole").first(), now=pl.col("amount").sum(), before=pl.col("own_amount").first()
    )
    changes = by_product.group_by("invoice_id").agg(
        has_past=pl.col("before").is_not_null().any(),
        change=(pl.col("now") - pl.col("before").fill_null(0.0)).sum(),
        is_agreed=pl.col("is_whole").first(),
    )
    if ended is None:
        ended = changes.select("invoice_id", ended_minor=pl.lit(0.0)).clear()
    # Where nothing that was billed before is billed now, the names may be another engine's.
    known = lines.filter(pl.col("own_amount").is_not_null()).select("invoice_id").unique()
    lost = ended.join(known, on="invoice_id", how="semi")
    both = changes.join(lost, on="invoice_id", how="full", coalesce=True)
    has_past = pl.col("has_past").fill_null(value=False) | pl.col("ended_minor").is_not_null()
    change = pl.col("change").fill_null(0.0) - pl.col("ended_minor").fill_null(0.0)
    return both.select(
        "invoice_id",
        agreed_change_minor=pl.when(has_past).then(change),
        is_agreed=pl.col("is_agreed").fill_null(value=False),
    ).sort("invoice_id")


def less_agreed(invoices: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """Take the agreed changes, and their tax, off the totals; null where all of it is agreed."""
    share = pl.coalesce(pl.col("total_minor") / pl.col("subtotal_minor"), pl.lit(1.0))
    less = estimated_minor(pl.col("agreed_change_minor").fill_null(0.0) * share)
    is_agreed = pl.col("is_agreed").fill_null(value=False)
    return (
        invoices.join(changes, on="invoice_id", how="left", maintain_order="left")
        .with_columns(total_minor=pl.when(~is_agreed).then(pl.col("total_minor") - less))
        .drop("agreed_change_minor", "is_agreed")
    )


def unchanged(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines as they would be had the contract changed no fixed charge.

    More seats than last time, another price of them and a new add-on alter units, prices and the
    mix of an invoice as they alter its total. A draft of agreed fixed charges alone, such as a
    one-off purchase, has nothing that the past could tell.

    Parameters
    ----------
    lines : pl.DataFrame
        From :func:`as_agreed`.

    Returns
    -------
    pl.DataFrame
        ``invoice_id, product, issued_on, quantity, amount_minor``: agreed fixed charges with
        quantity and amount of the customer's last invoice; those that are new to a customer with
        a past are left out, and drafts that have no others.
    """
    is_whole = _is_agreed_fixed().all().over("invoice_id")
    has_past = (_is_agreed_fixed() & pl.col("own_amount").is_not_null()).any().over("invoice_id")
    is_changed = _is_agreed_fixed() & has_past
    return (
        lines.filter(~is_whole)
        .with_columns(is_changed=is_changed)
        .filter(~pl.col("is_changed") | pl.col("own_amount").is_not_null())
        .select(
            "invoice_id",
            "product",
            "issued_on",
            quantity=_as_before("quantity"),
            amount_minor=_as_before("amount"),
        )
    )


def _as_before(name: str) -> pl.Expr:
    """A line's part of what the last invoice had of its product, where that was changed."""
    whole = pl.col(name).sum().over("invoice_id", "product")
    part = pl.when(whole != 0).then(pl.col(name) / whole)
    equal = 1.0 / pl.len().over("invoice_id", "product")
    before = pl.col(f"own_{name}") * pl.coalesce(part, equal)
    return pl.when("is_changed").then(before).otherwise(name)


def _is_agreed_fixed() -> pl.Expr:
    """Lines of drafts that bill a fixed charge as the contract prices it."""
    return (pl.col("is_draft") & ~pl.col("is_metered")).fill_null(value=False)


def first_drafts(agreements: Agreements) -> pl.DataFrame:
    """The drafts of each contract's oldest subscription (a draft a currency)."""
    recorded = agreements.subscriptions.group_by("subscription_id").agg(
        since=pl.col("recorded_at").min(), started_on=pl.col("started_on").min()
    )
    ranked = agreements.drafts.join(recorded, on="subscription_id", how="left").sort(
        "contract_id", "since", "started_on", "subscription_id", nulls_last=True
    )
    oldest = ranked.group_by("contract_id", maintain_order=True).agg(
        pl.col("subscription_id").first()
    )
    return agreements.drafts.join(oldest, on=["contract_id", "subscription_id"], how="semi")


def _by_charge(drafts: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Lines summed by contract and charge; terms are those of the last segment in force."""
    heads = drafts.select("draft_id", "contract_id", "currency")
    last = [
        pl.col(name).last()
        for name in (
            *("discount_percent", "unit_price", "plan_id", "price_book_id"),
            *("name", "meter", "draft_id", "currency"),
        )
    ]
    return (
        lines.join(heads, on="draft_id")
        .sort("service_start_on", "line_id")
        .group_by("contract_id", "charge_id", maintain_order=True)
        .agg(
            *last,
            pl.col("amount_minor").sum(),
            pl.col("quantity").sum(),
            line_ids=pl.col("line_id"),
        )
        .with_columns(pl.col("line_ids").list.join(","))
    )
