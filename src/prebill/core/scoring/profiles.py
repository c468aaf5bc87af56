"""What scoring needs of the past before it looks at a draft: made once, read for many.

``profiles_of`` reads the books of many customers; a stored profile of one customer and morning has
the same frames, so that one invoice over HTTP and a million in a run are judged alike.
"""

from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from prebill.core.scoring.earlier import earlier
from prebill.core.scoring.features import (
    invariants,
    line_mix,
    quantity,
    treatment,
    twins,
    usage_shape,
    variance,
)
from prebill.core.scoring.frames import Books, ScoringInputs


@dataclass(frozen=True, slots=True)
class Everybody:
    """What the whole company's invoices had, whoever the customer."""

    sizes: pl.DataFrame
    rates: pl.DataFrame
    seen: pl.DataFrame
    places: treatment.Everybody

    def latest(self) -> "Everybody":
        """What a later draft reads of it: the last row of each product and place.

        The draft's own past is compared with the same usual quantities, so they hold for any day.
        """
        places = self.places
        sizes = self.sizes.sort("known_on").unique("product", keep="last")
        return Everybody(
            sizes=sizes.with_columns(known_on=pl.lit(date.min)),
            rates=self.rates.sort("issued_on").unique("product", keep="last"),
            seen=self.seen,
            places=replace(
                places,
                tax_shares=places.tax_shares.sort("issued_on").unique("place", keep="last"),
            ),
        )


@dataclass(frozen=True, slots=True)
class Profiles:
    """The past as the asked invoices see it.

    ``history``: every visible invoice (:func:`variance.measures`); ``level``: a row per asked
    invoice (:func:`variance.profile`); ``products`` (:func:`invariants.profile`); ``previous``
    (:func:`line_mix.profile`) with ``repeats``, how many lines of that previous invoice repeated
    the one before; ``own`` (:mod:`treatment`); ``twins`` (:func:`twins.profile`); ``usage``
    (:func:`usage_shape.profile`); ``earlier`` (:func:`earlier.earlier`).
    """

    history: pl.DataFrame
    level: pl.DataFrame
    products: pl.DataFrame
    previous: pl.DataFrame
    repeats: pl.DataFrame
    own: treatment.Own
    twins: pl.DataFrame
    usage: pl.DataFrame
    earlier: pl.DataFrame
    everybody: Everybody


def profiles_of(
    books: Books,
    keys: pl.DataFrame,
    inputs: ScoringInputs,
    everybody: Everybody | None = None,
) -> Profiles:
    """Summarise the past of the asked invoices.

    Parameters
    ----------
    books : Books
        Every visible invoice, the asked ones too where they are known.
    keys : pl.DataFrame
        The invoices to judge, columns of ``books.invoices``; each sees what was issued before its
        own day only.
    inputs : ScoringInputs
        Settled: customers and usage.
    everybody : Everybody or None
        Made before, where ``books`` hold some customers only.
    """
    facts = invariants.line_facts(books)
    if everybody is None:
        everybody = everybody_of(books, facts, inputs.customers)
    measures = variance.measures(books, quantity.line_shifts(facts, everybody.sizes))
    days = keys.select("series", as_of_on="issued_on")
    asked = facts.join(keys.select("invoice_id"), on="invoice_id", how="semi")
    previous = line_mix.profile(books, keys)
    return Profiles(
        history=measures,
        level=pl.concat(
            [keys.select("invoice_id"), variance.profile(measures, days)], how="horizontal"
        ),
        products=invariants.profile(facts, asked),
        previous=previous,
        repeats=repeats(books, previous),
        own=treatment.profile(books.invoices, keys),
        twins=twins.profile(books, keys),
        usage=usage_shape.profile(inputs.usage_days, books.invoices, keys),
        earlier=earlier(books.invoices, keys),
        everybody=everybody,
    )


def everybody_of(books: Books, facts: pl.DataFrame, customers: pl.DataFrame) -> Everybody:
    """Summarise every visible invoice, whoever the customer."""
    return Everybody(
        sizes=quantity.sizes(facts),
        rates=invariants.rates(facts),
        seen=invariants.seen(facts),
        places=treatment.everybody(books.invoices, customers),
    )


def repeats(books: Books, previous: pl.DataFrame) -> pl.DataFrame:
    """``previous_id, before_repeat, before_count``: lines that repeated, and all, back then."""
    ids = previous.select(invoice_id="previous_id").unique()
    then = books.invoices.join(ids, on="invoice_id", how="semi")
    lines = books.lines.join(ids, on="invoice_id", how="semi")
    found = line_mix.features(then, lines, line_mix.profile(books, then))
    return found.select(
        previous_id="invoice_id", before_repeat="repeat_lines", before_count="line_count"
    )
