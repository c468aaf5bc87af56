"""A customer's past made ready on a morning, for drafts of any later day.

The frames are those of :mod:`profiles`, without what depends on the draft's day: that is added when
the draft is there, by the same functions. Where they do not hold, the books themselves are asked.
"""

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Final

import polars as pl

from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES, INVOICES
from prebill.core.schemas.internal import USAGE_DAYS
from prebill.core.scoring.detectors.base import Scene
from prebill.core.scoring.earlier import earlier
from prebill.core.scoring.exposure import OWED, Receivables, owed
from prebill.core.scoring.features import (
    invariants,
    line_mix,
    payment,
    quantity,
    treatment,
    twins,
    variance,
)
from prebill.core.scoring.features.payment_history import receivables
from prebill.core.scoring.features.payment_profile import REMEMBERED
from prebill.core.scoring.frames import (
    DAY,
    LOOK_BACK_DAYS,
    Books,
    ScoringInputs,
    in_series,
    settle,
    visible,
)
from prebill.core.scoring.norms import Norms
from prebill.core.scoring.profiles import Everybody, Profiles, repeats
from prebill.core.scoring.scene import scene_from
from prebill.core.scoring.windows import LAST

#: What is kept of a customer, by the name of the field of :class:`Prepared`.
KEPT: Final[dict[str, pl.Schema]] = {
    "span": pl.Schema(
        {
            "customer_id": pl.String,
            "latest_on": pl.Date,
            "oldest_on": pl.Date,
            "rests_on": pl.Date,
            "beyond_on": pl.Date,
        }
    ),
    "measures": pl.Schema(
        [
            ("customer_id", pl.String()),
            ("invoice_id", pl.String()),
            ("series", pl.String()),
            ("issued_on", pl.Date()),
            *((name, pl.Float64()) for name in (*variance.SEASONAL, "span", "day")),
        ]
    ),
    "products": pl.Schema(
        {
            "customer_id": pl.String,
            "series": pl.String,
            "product": pl.String,
            "own_rate": pl.Float64,
            "own_quantity": pl.Float64,
            "own_amount": pl.Float64,
            "own_tax_code": pl.String,
            "own_discount": pl.Float64,
            "settled_rate": pl.Float64,
            "settled_tax_code": pl.String,
            "settled_discount": pl.Float64,
            "settled_on": pl.Date,
            "until_on": pl.Date,
        }
    ),
    "previous": pl.Schema(
        [
            ("customer_id", pl.String()),
            ("series", pl.String()),
            ("previous_id", pl.String()),
            ("product", pl.String()),
            ("quantity", DECIMAL),
            ("money", pl.Float64()),
            ("until_on", pl.Date()),
        ]
    ),
    "repeats": pl.Schema(
        {
            "customer_id": pl.String,
            "previous_id": pl.String,
            "before_repeat": pl.UInt32,
            "before_count": pl.UInt32,
        }
    ),
    "tax_shares": pl.Schema(
        {
            "customer_id": pl.String,
            "entity": pl.String,
            "own_share": pl.Float64,
            "own_count": pl.Int64,
        }
    ),
    "last": pl.Schema({"customer_id": pl.String, "last_currency": pl.String}),
    "currencies": pl.Schema(
        {
            "customer_id": pl.String,
            "currency": pl.String,
            "own_on": pl.Date,
            "until_on": pl.Date,
        }
    ),
    "twins": pl.Schema(
        [
            *((name, INVOICES.schema[name]) for name in twins.KEY),
            ("twin_id", pl.String()),
            ("twin_on", pl.Date()),
            ("twin_content", pl.String()),
        ]
    ),
    "remembered": pl.Schema(REMEMBERED),
    "owed": pl.Schema({name: INVOICES.schema[name] for name in OWED}),
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Frames of ``KEPT``, rows of one customer or of many, each with ``customer_id``.

    ``span`` says for which days they hold: after ``latest_on``, as long as ``rests_on`` is looked
    back on and ``beyond_on`` is not. Rows last told on ``until_on`` hold as long as that is looked
    back on. ``remembered`` holds for any day, ``owed`` from the day on which all was prepared.
    """

    span: pl.DataFrame
    measures: pl.DataFrame
    products: pl.DataFrame
    previous: pl.DataFrame
    repeats: pl.DataFrame
    tax_shares: pl.DataFrame
    last: pl.DataFrame
    currencies: pl.DataFrame
    twins: pl.DataFrame
    remembered: pl.DataFrame
    owed: pl.DataFrame

    @property
    def frames(self) -> dict[str, pl.DataFrame]:
        """The frames by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def prepare(inputs: ScoringInputs, everybody: Everybody) -> Prepared:
    """Make the past of every customer of the history ready for the next drafts.

    Parameters
    ----------
    inputs : ScoringInputs
        History, customers, payments and credit notes; drafts and usage are left out.
    everybody : Everybody
        What the whole company's invoices had.
    """
    past = settle(replace(inputs, drafts=Books(), agreements=None, usage_days=USAGE_DAYS.empty()))
    books = visible(past)
    heads = books.invoices
    last_on: date = heads["issued_on"].max() or date.min  # type: ignore[assignment]
    morning = pl.lit(last_on + DAY)
    keys = heads.with_columns(issued_on=morning, invoice_id="series")
    facts = invariants.line_facts(books)
    measures = variance.measures(books, quantity.line_shifts(facts, everybody.sizes))
    asked = facts.select("series", "product", issued_on=morning)
    own = treatment.profile(heads, keys.unique(["customer_id", "legal_entity"]))
    previous = line_mix.profile(books, keys.unique("series"))
    known = receivables(past.history.invoices, past.payments, past.credit_notes)
    if past.payments.is_empty() and past.credit_notes.is_empty():
        known = known.clear()
    told = heads.select("customer_id", previous_id="invoice_id", until_on="issued_on")
    frames = {
        "span": _span(past, heads),
        "measures": measures,
        "products": invariants.profile_of_any(facts, asked).join(
            heads.select("series", "customer_id").unique(), on="series"
        ),
        "previous": previous.rename({"invoice_id": "series"}).join(told, on="previous_id"),
        "repeats": repeats(books, previous).join(told, on="previous_id"),
        "tax_shares": own.tax_shares,
        "last": own.last,
        "currencies": own.currencies.join(
            heads.group_by("customer_id", "currency").agg(until_on=pl.col("issued_on").max()),
            on=["customer_id", "currency"],
        ),
        "twins": twins.profile(books),
        "remembered": payment.remembered(known),
        "owed": owed(Receivables(past.history.invoices, past.payments, past.credit_notes)),
    }
    return Prepared(
        **{name: frames[name].select(schema.names()).cast(schema) for name, schema in KEPT.items()}
    )


def scene_prepared(
    inputs: ScoringInputs, prepared: Prepared, norms: Norms, everybody: Everybody
) -> Scene | None:
    """Set drafts beside what was prepared of their customers; see :func:`scene.scene_of`.

    Parameters
    ----------
    inputs : ScoringInputs
        Drafts, their customers and ``remembered``; no history, usage or agreements.
    prepared : Prepared
        Rows of the drafts' customers, by customer.
    norms : Norms
        What is ordinary.
    everybody : Everybody
        What the whole company's invoices had.

    Returns
    -------
    Scene or None
        None: what was prepared does not hold for these drafts, the books must be asked.
    """
    drafts = Books(
        INVOICES.conform(inputs.drafts.invoices).sort("issued_on", "invoice_id"),
        INVOICE_LINES.conform(inputs.drafts.lines).sort("invoice_id", "line_id"),
    )
    rows = in_series(drafts.invoices, is_draft=True)
    if not _holds(prepared, rows):
        return None
    inputs = replace(
        inputs,
        drafts=drafts,
        customers=CUSTOMERS.conform(inputs.customers),
    )
    books = Books(rows, drafts.lines)
    profiles = _profiles(prepared, books, everybody)
    return scene_from(inputs, books, rows, profiles=profiles, norms=norms)


def _holds(prepared: Prepared, rows: pl.DataFrame) -> bool:
    span, day = prepared.span, rows["issued_on"][0]
    if (rows["issued_on"] != day).any() or set(rows["customer_id"]) != set(span["customer_id"]):
        return False
    is_known = set(rows["series"]) <= set(prepared.measures["series"])
    is_new = rows["invoice_id"].is_in(prepared.measures["invoice_id"].implode()).any()
    since_on = day - LOOK_BACK_DAYS * DAY
    beyond_on = span["beyond_on"].max() or date.min
    return bool(
        is_known
        and not is_new
        and beyond_on < since_on <= span["rests_on"].min()
        and span["latest_on"].max() < day
    )


def _profiles(prepared: Prepared, books: Books, everybody: Everybody) -> Profiles:
    """What was prepared, as the drafts of one day see it."""
    rows = books.invoices
    day = pl.lit(rows["issued_on"][0])
    prepared = _looked_back_on(prepared, rows["issued_on"][0] - LOOK_BACK_DAYS * DAY)
    keys = rows.select("invoice_id", "series")
    entities = rows.select("customer_id", entity=pl.col("legal_entity").fill_null("")).unique()
    tax_shares = entities.join(prepared.tax_shares, on=["customer_id", "entity"], how="left")
    level = variance.profile(prepared.measures, rows.select("series", as_of_on="issued_on"))
    return Profiles(
        history=prepared.measures.clear(),
        level=pl.concat([rows.select("invoice_id"), level], how="horizontal"),
        products=prepared.products.drop("customer_id", "until_on", "settled_on").with_columns(
            issued_on=day
        ),
        previous=keys.join(prepared.previous.drop("customer_id", "until_on"), on="series").drop(
            "series"
        ),
        repeats=prepared.repeats.drop("customer_id"),
        own=treatment.Own(
            tax_shares.with_columns(pl.col("own_count").fill_null(0), issued_on=day),
            prepared.last.with_columns(issued_on=day),
            prepared.currencies.drop("until_on"),
        ),
        twins=pl.concat([prepared.twins, twins.profile(books)]),
        usage=pl.DataFrame(),
        earlier=earlier(prepared.measures, rows),
        everybody=everybody,
    )


def _looked_back_on(prepared: Prepared, since_on: date) -> Prepared:
    """Without what was last told before that day."""
    if prepared.span["oldest_on"].min() >= since_on:  # type: ignore[operator]
        return prepared
    is_near = pl.col("until_on") >= since_on
    settled = pl.col("settled_rate", "settled_tax_code", "settled_discount")
    return replace(
        prepared,
        measures=prepared.measures.filter(pl.col("issued_on") >= since_on),
        products=prepared.products.filter(is_near).with_columns(
            pl.when(pl.col("settled_on") >= since_on).then(settled)
        ),
        previous=prepared.previous.filter(is_near),
        currencies=prepared.currencies.filter(is_near),
        twins=prepared.twins.filter(pl.col("twin_on") >= since_on),
    )


def _span(past: ScoringInputs, seen: pl.DataFrame) -> pl.DataFrame:
    """Which days each customer's rows hold for.

    They rest on the invoice before the previous one of each series, and on the tax of the latest
    invoices by each entity.
    """
    last = seen.sort("issued_on", descending=True)
    before = last.group_by("customer_id", "series").agg(on=pl.col("issued_on").head(2).min())
    taxed = last.group_by("customer_id", "legal_entity").agg(
        on=pl.col("issued_on").filter(treatment.HAS_TAX).head(LAST).min()
    )
    rests = pl.concat([before, taxed], how="diagonal").group_by("customer_id")
    every = past.history.invoices
    beyond = every.join(seen, on="invoice_id", how="anti").group_by("customer_id")
    return (
        seen.group_by("customer_id")
        .agg(oldest_on=pl.col("issued_on").min(), latest_on=pl.col("issued_on").max())
        .join(rests.agg(rests_on=pl.col("on").min()), on="customer_id", how="left")
        .join(beyond.agg(beyond_on=pl.col("issued_on").max()), on="customer_id", how="left")
    )
