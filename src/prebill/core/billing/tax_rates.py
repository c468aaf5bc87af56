"""The bundled tax rates: dated, by jurisdiction and category. Data, no rules.

European standard rates are those of eu-vat-rates-data; the changes since 2024 that the package no
longer knows are listed here. US rates are state rates without local taxes, for a first version:
a company with duties in several states hands in its own frame or, later, an engine's answer.
"""

from datetime import date
from decimal import Decimal
from functools import cache
from typing import Final

import polars as pl
from eu_vat_rates_data import get_all_rates

from prebill.core.billing.inputs import TAX_RATES
from prebill.core.money import DECIMAL

#: First day for which the table speaks.
COVERED_FROM_ON: Final = date(2024, 1, 1)
ANY_CATEGORY: Final = "*"

#: Former standard rates: (country, percent, first day of the following rate).
#: Sources: TEDB of the European Commission; the laws that changed them.
FORMER_RATES: Final = (
    ("EE", "22", date(2025, 7, 1)),
    ("FI", "24", date(2024, 9, 1)),
    ("RO", "19", date(2025, 8, 1)),
    ("SK", "20", date(2025, 1, 1)),
)

#: State, category, percent. Software as a service is taxable in some states only.
US_STATE_RATES: Final = (
    ("AZ", "*", "5.6"),
    ("CA", "*", "7.25"),
    ("CA", "saas", "0"),
    ("CO", "*", "2.9"),
    ("CO", "saas", "0"),
    ("CT", "*", "6.35"),
    ("CT", "saas", "1"),
    ("FL", "*", "6"),
    ("FL", "saas", "0"),
    ("GA", "*", "4"),
    ("GA", "saas", "0"),
    ("IL", "*", "6.25"),
    ("IL", "saas", "0"),
    ("MA", "*", "6.25"),
    ("NJ", "*", "6.625"),
    ("NJ", "saas", "0"),
    ("NY", "*", "4"),
    ("OH", "*", "5.75"),
    ("PA", "*", "6"),
    ("TN", "*", "7"),
    ("TX", "*", "6.25"),
    ("TX", "saas", "5"),
    ("UT", "*", "4.85"),
    ("VA", "*", "5.3"),
    ("VA", "saas", "0"),
    ("WA", "*", "6.5"),
)


def bundled_tax_rates() -> pl.DataFrame:
    """Return the bundled TAX_RATES."""
    changed = {country: changed_on for country, _, changed_on in FORMER_RATES}
    rows: list[tuple[str, str, Decimal, date, date | None]] = [
        (country, ANY_CATEGORY, Decimal(percent), COVERED_FROM_ON, changed_on)
        for country, percent, changed_on in FORMER_RATES
    ]
    for country, rate in get_all_rates().items():
        # The package holds floats such as 25.5; their shortest text is the published figure.
        percent = Decimal(str(rate["standard"]))
        start_on = changed.get(country, COVERED_FROM_ON)
        rows.append((country, ANY_CATEGORY, percent, start_on, None))
    for state, category, text in US_STATE_RATES:
        rows.append((f"US-{state}", category, Decimal(text), COVERED_FROM_ON, None))
    schema = TAX_RATES.schema
    frame = pl.DataFrame(rows, schema={**schema, "percent": pl.Decimal(38, 12)}, orient="row")
    return TAX_RATES.conform(frame.with_columns(pl.col("percent").cast(DECIMAL))).sort(
        TAX_RATES.key
    )


@cache
def eu_countries() -> tuple[str, ...]:
    """Return the member states (ISO 3166 alpha-2)."""
    return tuple(sorted(country for country, rate in get_all_rates().items() if rate["eu_member"]))
