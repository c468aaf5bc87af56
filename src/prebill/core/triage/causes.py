"""Which drafts were stopped by one cause: the same fault in the same thing, in the same period.

A cause is shared only where it lies outside the customer: a price book, a meter, a tax code, a
currency, a judge that failed. A total off its history is each customer's own.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from prebill.core.schemas.frame import collected

#: Cases with one cause that are shown, and may be decided, as a group.
LEAST_GROUP: Final = 3
#: Reason code → the column of the lines that says in what the fault lies; "": in nothing named.
SHARED: Final = {
    "price_differs_from_contract": "price_book",
    "rate_never_billed": "product",
    "rate_changed": "product",
    "discount_past_its_end": "product",
    "discount_differs_from_contract": "product",
    "expected_charge_absent": "",
    "duplicate_usage": "meter",
    "usage_missing": "meter",
    "usage_differs_from_events": "meter",
    "usage_late": "meter",
    "meter_stuck": "meter",
    "unit_error": "meter",
    "event_ids_conflict": "meter",
    "tax_share_unusual": "tax_code",
    "tax_code_changed": "tax_code",
    "tax_country_missing": "",
    "currency_unusual": "currency",
    "currency_differs_from_contract": "currency",
    "currencies_mixed": "currency",
    "account_mapping_missing": "",
    "exchange_rate_missing": "currency",
    "could_not_judge": "detector",
}
#: Columns that a cause may be named by.
NAMED_BY: Final = ("price_book", "product", "meter", "tax_code", "currency", "detector")
#: Share of a group that is looked at one by one before all of it is decided: its square root.
LEAST_SAMPLE, MOST_SAMPLE = 3, 10
_BASES: Final = ("exact", "could_not_judge", "statistical")


def causes(findings: pl.DataFrame, lines: pl.DataFrame, drafts: pl.DataFrame) -> pl.DataFrame:
    """Name the cause of each draft whose main finding may have it in common with others.

    Parameters
    ----------
    findings : pl.DataFrame
        ``FINDINGS``.
    lines : pl.DataFrame
        ``invoice_id, line_id`` and, where known, ``price_book, product, meter, tax_code``.
    drafts : pl.DataFrame
        ``invoice_id, currency, period`` (YYYY-MM).

    Returns
    -------
    pl.DataFrame
        ``invoice_id, cause`` as ``period:code:what``; drafts without a shared cause are left out.
        The main finding is the one with the most money, exact ones first among equals.
    """
    first_line = pl.col("line_ids").str.split(",").list.first()
    main = (
        findings.lazy()
        .with_columns(
            money=pl.col("amount_minor").fill_null(0).abs(),
            order=pl.col("basis").replace_strict(
                {name: index for index, name in enumerate(_BASES)}, default=len(_BASES)
            ),
        )
        .sort("money", "order", "code", descending=[True, False, False])
        .group_by("invoice_id", maintain_order=True)
        .first()
        .filter(pl.col("code").is_in(SHARED))
        .select("invoice_id", "code", "detector", line_id=first_line)
    )
    given = [name for name in NAMED_BY if name in lines.columns]
    named = main.join(
        lines.lazy().select("invoice_id", "line_id", *given),
        on=["invoice_id", "line_id"],
        how="left",
    ).join(drafts.lazy().select("invoice_id", "currency", "period"), on="invoice_id")
    by = pl.col("code").replace_strict(SHARED, return_dtype=pl.String)
    what = pl.coalesce(
        *(pl.when(by == name).then(pl.col(name)) for name in (*given, "currency", "detector")),
        pl.lit(""),
    )
    return collected(
        named.select("invoice_id", cause=pl.format("{}:{}:{}", "period", "code", what))
    )


def sample_size(cases: int) -> int:
    """How many of so many cases are looked at one by one before the rest follows.

    Examples
    --------
    >>> [sample_size(cases) for cases in (3, 9, 40, 5000)]
    [3, 3, 7, 10]
    """
    root = next(size for size in range(cases + 1) if size * size >= cases)
    return min(cases, max(LEAST_SAMPLE, root), MOST_SAMPLE)


def parts_of(cause: str) -> tuple[str, str, str]:
    """Return period, code and what of a cause.

    Examples
    --------
    >>> parts_of("2026-10:price_differs_from_contract:standard-eur:v2")
    ('2026-10', 'price_differs_from_contract', 'standard-eur:v2')
    """
    period, code, what = cause.split(":", 2)
    return period, code, what


def agrees(verdict: str, sampled: Sequence[str]) -> bool:
    """Whether what was found in the sample supports a verdict on the rest.

    Parameters
    ----------
    verdict : str
        ``release`` or ``reject``.
    sampled : sequence of str
        Verdicts on the sampled cases: ``release``, ``correct`` or ``reject``.
    """
    return all((one == "release") == (verdict == "release") for one in sampled)
