"""Balanced journal entries from documents: receivable against revenue, deferred revenue and tax.

Every entry sums to zero in the document's currency and in the entity's functional currency. What
the conversion leaves over goes to the rounding account. Nothing here gives a document its number.
"""

from dataclasses import dataclass

import polars as pl

from prebill.core.errors import SchemaError
from prebill.core.money import DECIMAL, Rounding, minor_factor, round_minor

ANY_CATEGORY = "*"

POSTINGS = pl.Schema(
    {
        "draft_id": pl.String(),
        "line": pl.Int64(),
        "account_id": pl.String(),
        "purpose": pl.String(),
        "amount_minor": pl.Int64(),
        "currency": pl.String(),
        "functional_minor": pl.Int64(),
        "functional_currency": pl.String(),
        "rate": DECIMAL,
    }
)

_KEY = ["entity_id", "purpose", "tax_category"]
_ONE = pl.lit(1, dtype=pl.Int64).cast(DECIMAL)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What journal entries are made with.

    ``entities``, ``mappings`` and ``rates`` are the inbound frames legal_entities,
    account_mappings and exchange_rates.
    """

    entities: pl.DataFrame
    mappings: pl.DataFrame
    rates: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Unpostable:
    """Why a document can't be posted: columns ``draft_id``, ``code``, ``text``; sorted."""

    findings: pl.DataFrame


def postings(documents: pl.DataFrame, lines: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Make the postings of each document; debit is positive, credit negative.

    Parameters
    ----------
    documents : pl.DataFrame, one row per draft_id
        ``draft_id, entity_id, currency, tax_point_on, subtotal_minor, tax_minor, total_minor``.
    lines : pl.DataFrame, one row per (draft_id, line_id)
        ``draft_id, timing, tax_category, amount_minor, tax_minor``.
    ledger : Ledger
        Every document must be postable: see :func:`unpostable`.

    Returns
    -------
    pl.DataFrame, one row per (draft_id, line)
        Columns of ``POSTINGS``. Per draft: the receivable, then revenue or deferred revenue per
        tax category, tax, and rounding where the conversion needs it. Sums to zero per draft in
        both currencies.

    Raises
    ------
    SchemaError
        An account or a rate is missing, or a document's lines do not add up to its totals.

    Examples
    --------
    >>> sorted(POSTINGS.names())[:3]
    ['account_id', 'amount_minor', 'currency']
    """
    heads = _with_rates(documents, ledger)
    raw = pl.concat([_receivables(heads), _revenues(heads, lines), _taxes(heads, lines)])
    converted = _converted(_with_accounts(raw, ledger.mappings), heads)
    complete = pl.concat([converted, _rounding(converted, ledger.mappings)])
    numbered = complete.sort("draft_id", "order", "purpose", "tax_category").with_columns(
        line=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("draft_id")
    )
    result = numbered.select(POSTINGS.names())
    _require_balance(result)
    return result


def unpostable(documents: pl.DataFrame, lines: pl.DataFrame, ledger: Ledger) -> Unpostable:
    """Tell which documents lack an account or an exchange rate, before a number is given.

    Parameters
    ----------
    documents, lines, ledger
        As for :func:`postings`.

    Returns
    -------
    Unpostable
        One row per reason; empty when everything can be posted.
    """
    heads = _with_rates(documents, ledger)
    no_rate = heads.filter(pl.col("rate").is_null()).select(
        "draft_id",
        code=pl.lit("exchange_rate_missing"),
        text=pl.format(
            "no exchange rate from {} to {} on or before {}: import one",
            "currency",
            "functional_currency",
            "tax_point_on",
        ),
    )
    raw = pl.concat([_receivables(heads), _revenues(heads, lines), _taxes(heads, lines)])
    rounding = heads.filter(pl.col("currency") != pl.col("functional_currency")).select(
        "draft_id", "entity_id", purpose=pl.lit("rounding"), tax_category=pl.lit(ANY_CATEGORY)
    )
    wanted = pl.concat([raw.select(rounding.columns), rounding]).unique()
    found = _with_accounts(wanted, ledger.mappings)
    no_account = found.filter(pl.col("account_id").is_null()).select(
        "draft_id",
        code=pl.lit("account_mapping_missing"),
        text=pl.format(
            "no ledger account for {} ({}) of {}: import an account mapping",
            "purpose",
            "tax_category",
            "entity_id",
        ),
    )
    return Unpostable(pl.concat([no_rate, no_account]).unique().sort("draft_id", "code", "text"))


def _with_rates(documents: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Documents with functional currency and the latest rate on or before the tax point."""
    functional = ledger.entities.select(
        "entity_id", pl.col("currency").alias("functional_currency")
    )
    heads = documents.select(
        "draft_id", "entity_id", "currency", "tax_point_on", "tax_minor", "total_minor"
    ).join(functional, on="entity_id", how="left", maintain_order="left")
    pairs = ledger.rates.select(
        pl.col("base_currency").alias("currency"),
        pl.col("quote_currency").alias("functional_currency"),
        "rate_on",
        pl.col("rate").alias("found_rate"),
    ).sort("rate_on")
    dated = heads.sort("tax_point_on").join_asof(
        pairs,
        left_on="tax_point_on",
        right_on="rate_on",
        by=["currency", "functional_currency"],
        strategy="backward",
        check_sortedness=False,
    )
    same = pl.col("currency") == pl.col("functional_currency")
    return dated.with_columns(rate=pl.when(same).then(_ONE).otherwise("found_rate"))


def _receivables(heads: pl.DataFrame) -> pl.DataFrame:
    return heads.select(
        "draft_id",
        "entity_id",
        order=pl.lit(0, dtype=pl.Int64),
        purpose=pl.lit("receivable"),
        tax_category=pl.lit(ANY_CATEGORY),
        amount_minor=pl.col("total_minor"),
    )


def _revenues(heads: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Credit per timing and tax category: what is billed in advance is deferred."""
    entities = heads.select("draft_id", "entity_id")
    in_advance = pl.col("timing") == "in_advance"
    summed = (
        lines.join(entities, on="draft_id", how="inner")
        .with_columns(
            purpose=pl.when(in_advance)
            .then(pl.lit("deferred_revenue"))
            .otherwise(pl.lit("revenue"))
        )
        .group_by("draft_id", "entity_id", "purpose", "tax_category")
        .agg(amount_minor=-pl.col("amount_minor").sum())
    )
    return summed.filter(pl.col("amount_minor") != 0).select(
        "draft_id",
        "entity_id",
        order=pl.lit(1, dtype=pl.Int64),
        purpose="purpose",
        tax_category="tax_category",
        amount_minor="amount_minor",
    )


def _taxes(heads: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    summed = (
        lines.join(heads.select("draft_id", "entity_id"), on="draft_id", how="inner")
        .group_by("draft_id", "entity_id", "tax_category")
        .agg(amount_minor=-pl.col("tax_minor").sum())
    )
    return summed.filter(pl.col("amount_minor") != 0).select(
        "draft_id",
        "entity_id",
        order=pl.lit(2, dtype=pl.Int64),
        purpose=pl.lit("tax_payable"),
        tax_category="tax_category",
        amount_minor="amount_minor",
    )


def _with_accounts(raw: pl.DataFrame, mappings: pl.DataFrame) -> pl.DataFrame:
    """The account of the tax category, else that of all categories."""
    exact = mappings.select(*_KEY, pl.col("account_id").alias("exact_account"))
    default = mappings.filter(pl.col("tax_category") == ANY_CATEGORY).select(
        "entity_id", "purpose", pl.col("account_id").alias("default_account")
    )
    found = raw.join(exact, on=_KEY, how="left").join(
        default, on=["entity_id", "purpose"], how="left"
    )
    return found.with_columns(account_id=pl.coalesce("exact_account", "default_account")).drop(
        "exact_account", "default_account"
    )


def _converted(raw: pl.DataFrame, heads: pl.DataFrame) -> pl.DataFrame:
    """Add the functional amount: amount x rate, from one currency's minor units to the other's."""
    rated = raw.join(
        heads.select("draft_id", "currency", "functional_currency", "rate"), on="draft_id"
    )
    # Multiply before dividing, so that nothing is lost before the one rounding.
    product = (
        pl.col("amount_minor").cast(DECIMAL)
        * pl.col("rate")
        * minor_factor(pl.col("functional_currency"))
    )
    exact = product / minor_factor(pl.col("currency"))
    same = pl.col("currency") == pl.col("functional_currency")
    return rated.with_columns(
        functional_minor=pl.when(same)
        .then("amount_minor")
        .otherwise(round_minor(exact, Rounding.HALF_AWAY_FROM_ZERO))
    )


def _rounding(converted: pl.DataFrame, mappings: pl.DataFrame) -> pl.DataFrame:
    """One posting of 0 in the document's currency that takes what the conversion left over."""
    left = (
        converted.group_by("draft_id", "entity_id", "currency", "functional_currency", "rate")
        .agg(functional_minor=-pl.col("functional_minor").sum())
        .filter(pl.col("functional_minor") != 0)
        .with_columns(
            order=pl.lit(3, dtype=pl.Int64),
            purpose=pl.lit("rounding"),
            tax_category=pl.lit(ANY_CATEGORY),
            amount_minor=pl.lit(0, dtype=pl.Int64),
        )
    )
    return _with_accounts(left, mappings).select(converted.columns)


def _require_balance(result: pl.DataFrame) -> None:
    missing = result.filter(pl.any_horizontal(pl.col("account_id", "rate").is_null()))
    if not missing.is_empty():
        message = "documents without account or exchange rate can't be posted"
        raise SchemaError(message, draft_ids=missing["draft_id"].unique().to_list())
    sums = result.group_by("draft_id").agg(pl.col("amount_minor", "functional_minor").sum())
    wrong = sums.filter((pl.col("amount_minor") != 0) | (pl.col("functional_minor") != 0))
    if not wrong.is_empty():
        message = "lines do not add up to the totals of their documents"
        raise SchemaError(message, draft_ids=wrong["draft_id"].sort().to_list())
