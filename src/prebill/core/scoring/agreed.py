"""What the contract prices to beside what the draft bills, a row a contract and charge."""

from typing import Final

import polars as pl

from prebill.core.scoring.frames import Agreements

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
            line_ids=pl.col("line_id").sort().str.join(","),
        )
    )
