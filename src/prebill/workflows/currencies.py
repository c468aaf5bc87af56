"""One reporting currency for sums over several: indicative, from the latest known rates."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from prebill.core.money import CURRENCY_EXPONENTS, exponent_of
from prebill.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Rates:
    """What one major unit of each currency is in major units of the reporting currency."""

    currency: str
    by_currency: dict[str, Decimal]

    def knows(self, currency: str) -> bool:
        """Whether amounts in it can be converted."""
        return currency in self.by_currency

    def converted(self, amount_minor: int, currency: str) -> Decimal | None:
        """An amount in major units of the reporting currency; None: there is no rate."""
        rate = self.by_currency.get(currency)
        return None if rate is None else Decimal(amount_minor).scaleb(-exponent_of(currency)) * rate

    def factor(self) -> pl.Expr:
        """From minor units of ``currency`` to major units reported; null: there is no rate.

        A float: for what is weighed or ranked, never for an amount that is told.
        """
        factors = {
            currency: float(rate) / 10 ** CURRENCY_EXPONENTS.get(currency, 2)
            for currency, rate in self.by_currency.items()
        }
        return pl.col("currency").replace_strict(factors, default=None, return_dtype=pl.Float64)


def rates_of(tx: Tx, currency: str | None, on: date, *, otherwise: str) -> Rates:
    """Read the latest rates up to a day into a currency; None: that of most legal entities.

    ``otherwise``: the currency where there is no legal entity.
    """
    if currency is None:
        entities = tx.table_frame("legal_entities", columns=["currency"])["currency"].to_list()
        currency = Counter(sorted(entities)).most_common(1)[0][0] if entities else otherwise
    known = tx.table_frame(
        "exchange_rates",
        "WHERE rate_on <= :on ORDER BY rate_on",
        {"on": on},
        columns=["base_currency", "quote_currency", "rate"],
    )
    inverse = known.filter(pl.col("base_currency") == currency)
    direct = known.filter(pl.col("quote_currency") == currency)
    # Currencies are few; the last rate is the latest.
    found = {quote: 1 / rate for _, quote, rate in inverse.iter_rows()}
    found |= {base: rate for base, _, rate in direct.iter_rows()}
    return Rates(currency, {**found, currency: Decimal(1)})
