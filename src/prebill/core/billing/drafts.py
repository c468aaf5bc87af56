"""Drafts: lines numbered in the order of the document, totalled and given a version.

The version is the SHA-256 of what the draft says, in a fixed textual form: equal inputs give the
equal version on every machine and with every release of the libraries.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.billing.segments import Segments
from prebill.core.calendar import Period

#: Columns of a draft, besides its lines, that its version covers.
_HEAD: Final = [
    "draft_id",
    "payer_id",
    "contract_id",
    "currency",
    "tax_point_on",
    "payment_terms_days",
]
#: Columns of a line that its charge fixes, and those that the version takes from the line itself.
_OF_CHARGE: Final = [
    "plan_id",
    "price_book_id",
    "charge_id",
    "name",
    "charge_model",
    "timing",
    "meter",
    "tax_category",
]
_OF_LINE: Final = [
    "phase_id",
    "service_start_on",
    "service_end_on",
    "share_numerator",
    "share_denominator",
    "proration_rule",
    "quantity",
    "unit_price",
    "amount_unrounded",
    "gross_minor",
    "discount_percent",
    "discount_minor",
    "amount_minor",
    "tax_code",
    "tax_percent",
    "tax_minor",
]


@dataclass(frozen=True, slots=True)
class OneCurrency:
    """Lines in the currency of their draft, and lines in another one."""

    lines: pl.DataFrame
    others: pl.DataFrame


def one_currency_a_draft(lines: pl.DataFrame, charges: pl.DataFrame) -> OneCurrency:
    """Keep the currency of each subscription's earliest line; two never meet in one sum."""
    numbers = charges.select(
        "charge_key", currency_no=pl.col("currency").rank("dense").cast(pl.UInt32)
    )
    if numbers["currency_no"].n_unique() < 2:
        return OneCurrency(lines, lines.clear())
    marked = lines.join(numbers, on="charge_key", how="left", maintain_order="left")
    pairs = marked.select("sub_row", "currency_no").unique()
    if pairs["sub_row"].n_unique() == pairs.height:
        return OneCurrency(lines, lines.clear())
    first = pl.col("currency_no").sort_by("service_start_on", "currency_no").first()
    own = marked.group_by("sub_row").agg(own_no=first)
    decided = marked.join(own, on="sub_row", how="left", maintain_order="left")
    is_own = decided["currency_no"] == decided["own_no"]
    return OneCurrency(lines.filter(is_own), lines.filter(~is_own))


def document_lines(lines: pl.DataFrame, cut: Segments) -> pl.DataFrame:
    """Number the lines of each draft and look up the texts behind their numbers.

    The order is that of the pieces: by draft, charge, first service day and phase.
    """
    subscriptions = cut.terms.subscriptions.drop("started_on", "ended_on", "starts_on", "ends_on")
    phases = cut.terms.phases.select("phase_row", "phase_id")
    charges = cut.charges.select("charge_key", "currency", *_OF_CHARGE)
    taken = [name for name in charges.columns if name in lines.columns and name != "charge_key"]
    place = pl.int_range(pl.len(), dtype=pl.Int64)
    numbered = lines.drop(taken).with_columns(place=place)
    first = numbered.group_by("sub_row").agg(first_place=pl.col("place").first())
    lookups = (
        (first, "sub_row"),
        (subscriptions, "sub_row"),
        (phases, "phase_row"),
        (charges, "charge_key"),
    )
    for table, key in lookups:
        numbered = numbered.join(table, on=key, how="left", maintain_order="left")
    line = pl.col("place") - pl.col("first_place") + 1
    return numbered.with_columns(line=line, line_id=line.cast(pl.String))


def drafts_of(lines: pl.DataFrame, cut: Segments, period: Period) -> pl.DataFrame:
    """Sum up numbered lines to drafts, with their version."""
    sums = lines.group_by("sub_row", maintain_order=True).agg(
        pl.col("currency", "tax_point_on").first(),
        subtotal_minor=pl.col("amount_minor").sum(),
        tax_minor=pl.col("tax_minor").sum(),
        lines=pl.len().cast(pl.Int64),
    )
    heads = cut.terms.subscriptions.select(
        "sub_row",
        "draft_id",
        "entity_id",
        "payer_id",
        "contract_id",
        "subscription_id",
        "payment_terms_days",
    )
    whole = sums.join(heads, on="sub_row", how="left", maintain_order="left")
    return whole.with_columns(
        versions(whole, lines),
        customer_id="payer_id",
        period=pl.lit(period.name),
        period_start_on=pl.lit(period.start_on),
        period_end_on=pl.lit(period.end_on),
        total_minor=pl.col("subtotal_minor") + pl.col("tax_minor"),
    )


def versions(drafts: pl.DataFrame, lines: pl.DataFrame) -> pl.Series:
    """Hash each draft: its head, then its lines; both frames are in the order of the documents.

    Decimals have one textual form, so 1 and 1.0 hash alike.
    """
    heads = drafts.select(text=pl.concat_str([_text(name) for name in _HEAD], separator="|"))
    charges = pl.concat_str([_text(name) for name in _OF_CHARGE], separator="|")
    # What a charge fixes is written once a charge, not once a line.
    fixed = lines.select("charge_key", *_OF_CHARGE).unique("charge_key", keep="any")
    short = fixed.select("charge_key", charge_text=charges)
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in short["charge_text"]]
    known = lines.join(
        short.select("charge_key", pl.Series("charge_digest", digests, dtype=pl.String)),
        on="charge_key",
        how="left",
        maintain_order="left",
    )
    columns = [pl.col("charge_digest"), *(_text(name) for name in _OF_LINE), pl.lit("\n")]
    texts = known.select(text=pl.concat_str(columns, separator="|"))["text"]
    return _digests(heads["text"], texts, drafts["lines"].cum_sum().to_list())


def versions_of(drafts: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Hash stored drafts again: ``draft_id, version``, equal to the byte if nothing was altered.

    Parameters
    ----------
    drafts : pl.DataFrame, DRAFTS
        Heads.
    lines : pl.DataFrame, DRAFT_LINES
        As priced: without what a person added.
    """
    of_draft = lines.group_by("draft_id").agg(lines=pl.len())
    heads = (
        drafts.drop("lines")
        .join(of_draft, on="draft_id")
        .sort("draft_id")
        .with_columns(pl.col("lines").cast(pl.Int64), payer_id="customer_id")
    )
    ordered = (
        lines.join(heads, on="draft_id", how="semi")
        .sort("draft_id", pl.col("line_id").cast(pl.Int64))
        .with_columns(charge_key=pl.concat_str([_text(n) for n in _OF_CHARGE], separator="|"))
    )
    return heads.select("draft_id").with_columns(versions(heads, ordered))


def _digests(heads: pl.Series, texts: pl.Series, ends: list[int]) -> pl.Series:
    """Hash each head with the run of line texts that ends at its place."""
    # SHA-256 exists outside of polars only. One joined text, hashed in slices: 100,000 drafts of
    # five lines take a quarter of a second.
    sizes = pl.concat([pl.Series([0], dtype=pl.Int64), texts.str.len_bytes().cast(pl.Int64)])
    bounds = sizes.cum_sum().gather([0, *ends]).to_list()
    joined = memoryview(str(texts.str.join("").item()).encode())
    found = []
    for head, start, end in zip(heads, bounds, bounds[1:], strict=False):
        digest = hashlib.sha256(head.encode())
        digest.update(joined[start:end])
        found.append(digest.hexdigest())
    return pl.Series("version", found, dtype=pl.String)


def _text(name: str) -> pl.Expr:
    """Write a column, null as an empty text."""
    return pl.col(name).cast(pl.String).fill_null("")
