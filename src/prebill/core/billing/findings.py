"""What billing itself has to report about a draft: it was billed, but somebody must look.

Every finding is exact (score 1): the reason is a fact of the reference data, not an estimate.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.billing.segments import Segments
from prebill.core.schemas.internal import FINDINGS

DETECTOR: Final = "billing"
_SCORE_TYPE: Final = FINDINGS.schema["score"]


@dataclass(frozen=True, slots=True)
class Check:
    """A reason code, the lines that it holds for, and its words (``{}`` filled by ``facts``)."""

    code: str
    holds: pl.Expr
    words: str
    facts: tuple[str, ...] = ()
    is_whole_document: bool = False


CHECKS: Final = (
    Check(
        "currency_differs_from_contract",
        pl.col("currency") != pl.col("contract_currency"),
        "Billed in {}, the currency of the price book; the contract is in {}.",
        ("currency", "contract_currency"),
        is_whole_document=True,
    ),
    Check(
        "customer_differs_from_contract",
        pl.col("customer_id") != pl.col("payer_id"),
        "The subscription names customer {}, the contract {}; the contract's pays.",
        ("customer_id", "payer_id"),
        is_whole_document=True,
    ),
    Check(
        "price_missing",
        ~pl.col("is_priced") & ~pl.col("charge_model").is_in(["graduated", "volume"]),
        "Price book {} has no price for {}; it was billed at 0.",
        ("price_book_id", "name"),
    ),
    Check(
        "tiers_do_not_fit",
        ~pl.col("is_priced") & pl.col("charge_model").is_in(["graduated", "volume"]),
        "The tiers of {} in price book {} leave a gap or overlap at a quantity of {}.",
        ("name", "price_book_id", "quantity"),
    ),
    Check(
        "phases_overlap",
        pl.col("does_overlap"),
        "Phase {} of subscription {} begins before an earlier phase has ended.",
        ("phase_id", "subscription_id"),
    ),
    Check(
        "unknown_proration_policy",
        pl.col("proration_rule").is_not_null()
        & (pl.col("proration_policy") != pl.col("proration_rule")),
        "The contract names the unknown proration policy {}; day_actual was used.",
        ("proration_policy",),
    ),
    Check(
        "tax_rate_missing",
        ~pl.col("is_rate_known"),
        "No tax rate is known for {}, category {}; taxed at 0.",
        ("jurisdiction", "tax_category"),
    ),
)
#: Tax findings are decided per draft in tax.py; here are their words.
TAX_WORDS: Final = {
    "tax_country_missing": "The customer has no country; taxed at 0.",
    "tax_region_missing": "The customer is in the US and has no state; taxed at 0.",
    "tax_id_invalid": "The VAT id of the customer is not valid; its country's VAT was charged.",
    "tax_registration_unknown": "A consumer abroad was not taxed: is the entity registered there?",
}


def billing_findings(
    lines: pl.DataFrame, other_currency: pl.DataFrame, cut: Segments
) -> pl.DataFrame:
    """Run every check over the lines of the documents.

    Parameters
    ----------
    lines : pl.DataFrame
        Numbered, taxed lines with the columns of all stages.
    other_currency : pl.DataFrame
        Pieces left out because their draft is in another currency.
    cut : Segments
        Charges that those pieces refer to.

    Returns
    -------
    pl.DataFrame, FINDINGS
        One row a draft and code, naming its lines.
    """
    checks = [*CHECKS, *_tax_checks()]
    # One look at the lines tells which checks have anything to report; most never have.
    hits = lines.select(check.holds.any().alias(check.code) for check in checks).row(0, named=True)
    parts = [_run(check, lines) for check in checks if hits[check.code]]
    parts += [_shared_meters(lines), _left_out(lines, other_currency, cut)]
    return pl.concat([FINDINGS.empty(), *parts]).sort(FINDINGS.key)


def _tax_checks() -> list[Check]:
    return [
        Check(code, pl.col("tax_finding") == code, words, is_whole_document=True)
        for code, words in TAX_WORDS.items()
    ]


def _run(check: Check, lines: pl.DataFrame) -> pl.DataFrame:
    hit = lines.filter(check.holds)
    facts = [pl.col(name).cast(pl.String).fill_null("?") for name in check.facts]
    text = pl.format(check.words, *facts) if facts else pl.lit(check.words)
    return _as_findings(
        hit.with_columns(text=text, code=pl.lit(check.code)), whole=check.is_whole_document
    )


def _as_findings(hit: pl.DataFrame, *, whole: bool) -> pl.DataFrame:
    ordered = hit.sort("sub_row", "line")
    names = pl.lit("") if whole else pl.col("line_id").str.join(",")
    found = ordered.group_by("draft_id", "code", maintain_order=True).agg(
        text=pl.col("text").first(),
        line_ids=names.first() if whole else names,
        evidence=pl.col("subscription_id").first(),
    )
    return FINDINGS.conform(
        found.with_columns(
            invoice_id="draft_id",
            detector=pl.lit(DETECTOR),
            basis=pl.lit("exact"),
            score=pl.lit(1, dtype=pl.Int64).cast(_SCORE_TYPE),
        )
    )


def _shared_meters(lines: pl.DataFrame) -> pl.DataFrame:
    """Report usage that two subscriptions of one customer bill for the same days."""
    metered = lines.filter("is_metered")
    key = ["customer_id", "meter", "service_start_on"]
    several = (
        metered.group_by(key)
        .agg(subscriptions=pl.col("subscription_id").n_unique())
        .filter(pl.col("subscriptions") > 1)
    )
    hit = metered.join(several, on=key, how="semi")
    if hit.is_empty():
        return FINDINGS.empty()
    text = pl.format("The usage of {} is billed by another subscription, too.", "meter")
    code = pl.lit("usage_billed_by_two_subscriptions")
    return _as_findings(hit.with_columns(text=text, code=code), whole=False)


def _left_out(lines: pl.DataFrame, other_currency: pl.DataFrame, cut: Segments) -> pl.DataFrame:
    """Report charges in a second currency, which are on no draft."""
    if other_currency.is_empty():
        return FINDINGS.empty()
    left_out = cut.charges.select("charge_key", left_out="currency")
    ids = other_currency.join(left_out, on="charge_key").select("sub_row", "left_out").unique()
    hit = lines.join(ids.sort("left_out").unique("sub_row", keep="first"), on="sub_row")
    text = pl.format("Charges in {} were left out of this draft in {}.", "left_out", "currency")
    return _as_findings(hit.with_columns(text=text, code=pl.lit("currencies_mixed")), whole=True)
