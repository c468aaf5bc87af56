"""Features of one invoice beside its customer's payment behaviour as known that morning.

Declared here, computed from :func:`profile`. An invoice that is unpaid past its due date counts as
late from that day on: it is known by then. One row or many, the same formulas on arrays.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from prebill.core.errors import ModelError
from prebill.core.scoring.features.declaration import AllowedUse, Feature, declared
from prebill.core.scoring.features.payment_calendar import bank_days
from prebill.core.scoring.features.payment_history import (
    EDGES,
    STEPS,
    Days,
    Floats,
    calendars,
    days_of,
    receivables,
    settlements,
)
from prebill.core.scoring.features.payment_own import Draft, OwnFigures, OwnPast, own_figures
from prebill.core.scoring.features.payment_profile import Profile, profile, remembered

__all__ = [
    "COLUMNS",
    "EDGES",
    "FEATURES",
    "features",
    "profile",
    "receivables",
    "remembered",
    "settlements",
]

_OWNER: Final = "credit control"
_DRAFT: Final = ("invoices.issued_on", "invoices.due_on", "invoices.currency")
_AMOUNT: Final = ("invoices.issued_on", "invoices.total_minor")
_OUTCOMES: Final = (
    *("invoices.issued_on", "invoices.due_on", "invoices.total_minor", "invoices.currency"),
    *("payments.paid_on", "payments.amount_minor"),
    *("credit_notes.issued_on", "credit_notes.amount_minor"),
)
_DISPUTES: Final = ("invoices.issued_on", "disputes.opened_on", "disputes.closed_on")
_OF_DRAFT: Final = "the draft itself; invoices of its own batch by content"
_BEFORE: Final = "invoices due, payments and credits dated before the issue date; drafts unlabelled"


def _draft(name: str, meaning: str, sources: tuple[str, ...] = _DRAFT) -> Feature:
    return Feature(name, meaning, _OWNER, sources, _OF_DRAFT, "never null", AllowedUse.ANY)


def _past(name: str, meaning: str, null: str = "no earlier invoice was due yet") -> Feature:
    return Feature(name, meaning, _OWNER, _OUTCOMES, _BEFORE, null, AllowedUse.PAYMENT)


def _rate(name: str, meaning: str) -> Feature:
    return _past(name, meaning, "never null: without own past it is the portfolio's")


def _dispute(name: str, meaning: str) -> Feature:
    null = "nobody records disputes"
    as_of = "disputes opened, and closed, before the issue date; none of a draft"
    return Feature(name, meaning, _OWNER, _DISPUTES, as_of, null, AllowedUse.PAYMENT)


#: What the trees read of an invoice.
FEATURES: Final = declared(
    (
        _draft("terms_days", "due date less issue date"),
        _draft("due_weekday", "1 Monday to 7 Sunday"),
        _draft("days_to_bank_day", "from the due date to the first bank day, 0: it is one"),
        _draft("days_from_bank_day", "from the last bank day to the due date, 0: it is one"),
        _draft("bank_days_around", "bank days from 5 days before to 5 days after the due date"),
        _draft("log_amount", "natural logarithm of the total in minor units", _AMOUNT),
        _past("relative_amount", "log amount less the customer's mean log amount"),
        _draft("same_day_count", "invoices of the customer in the same batch"),
        _draft(
            "same_due_count", "invoices of the customer in the same batch with the same due date"
        ),
        _past("known_count", "earlier invoices that were due, at most 60", "never null"),
        _rate("late_rate", "share late, half-life 40 invoices"),
        _rate("late_rate_fast", "the same, half-life 8 invoices"),
        _rate("weekday_late_rate", "share late of those due on the same weekday"),
        _rate("amount_late_rate", "share late of those of a similar amount"),
        _rate(
            "alike_late_rate", "share late of those due on the same weekday, of a similar amount"
        ),
        _rate("delay_mean", "mean days after due, half-life 40; open ones so far"),
        _rate("delay_latest", "the same, half-life 2 invoices"),
        _rate("delay_fast", "the same, half-life 8 invoices"),
        _rate("weekday_delay", "the same of those due on the same weekday"),
        _rate("amount_delay", "the same of those of a similar amount"),
        _past("delay_deviation", "standard deviation of days after due"),
        _past("weekday_count", "recent invoices due on the same weekday", "never null"),
        _past("amount_count", "recent invoices of a similar amount", "never null"),
        _past("overdue_count", "open and past due", "never null"),
        _past("overdue_share", "overdue amount of the latest 30 invoices' amount", "never null"),
        _past(
            "overdue_age",
            "mean days past due of the overdue, on the day before",
            "nothing is overdue",
        ),
        _past("overdue_newest_age", "the same of the newest overdue", "nothing is overdue"),
        _past("days_since_settled", "since the latest payment that settled an invoice"),
        _past("days_since_due", "since the latest invoice fell due"),
        _rate("own_late_recent", "P(late) from the customer's own hazards"),
        _rate("own_late_weekday", "the same from those due on the same weekday"),
        _rate("own_late_amount", "the same from those of a similar amount"),
        _rate("own_late_alike", "the same from those alike in both"),
        _rate("portfolio_late_rate", "everyone's share late"),
        _rate("portfolio_recent_late_rate", "the same, half-life 1,000 invoices"),
        _rate("portfolio_weekday_late_rate", "everyone's share late of those due on the weekday"),
        _dispute("open_dispute_count", "invoices of the customer contested and still so"),
        _dispute("dispute_share", "invoices of the customer ever contested, of those issued"),
    )
)
#: Share of the customer's payments on each weekday; the hazard of a day reads its own.
WEEKDAY_SHARES: Final = declared(
    _rate(f"settled_weekday_{day}", "share of the customer's payments on the weekday")
    for day in range(1, 8)
)
#: What places the steps in the calendar; no tree reads these themselves.
STEP_INPUTS: Final = declared(
    (
        _draft("due_day", "days since 1970 of the due date"),
        _draft("bank_calendar", "number of the currency's bank calendar"),
    )
)
#: Own hazard of each step, one array of ``STEPS`` a row: settled in it, of those open before it.
HAZARDS: Final = declared(
    (
        _rate("hazard_recent", "the customer's own hazards"),
        _rate("hazard_weekday", "of those due on the same weekday"),
        _rate("hazard_alike", "of those alike in weekday and amount"),
    )
)
SCALARS: Final = (*FEATURES, *WEEKDAY_SHARES, *STEP_INPUTS)
COLUMNS: Final = (*SCALARS, *HAZARDS)
DECLARED: Final = {**FEATURES, **WEEKDAY_SHARES, **STEP_INPUTS, **HAZARDS}

_EDGES: Final = np.array(EDGES, dtype=np.int64)
_ON_TIME: Final = EDGES.index(0) + 1
_AROUND_DAYS: Final = 5
#: Drafts looked at together, so that the pairs with past invoices fit the memory.
_CHUNK_ROWS: Final = 4_000


def features(drafts: pl.DataFrame, profile: Profile) -> pl.DataFrame:
    """Set each draft beside its customer's profile of the morning of its issue date.

    Parameters
    ----------
    drafts : pl.DataFrame
        ``INVOICES``; rows of one customer and issue date are one batch.
    profile : Profile
        Holding every customer and issue date of the drafts.

    Returns
    -------
    pl.DataFrame, one row per draft, in the order of the drafts
        ``invoice_id``, ``SCALARS`` as Float64 and ``HAZARDS`` as arrays of Float64.

    Raises
    ------
    ModelError
        A draft has no profile.
    """
    given = _Drafts.of(drafts, profile)
    chunks = [
        _figures(given.slice(start, start + _CHUNK_ROWS), profile)
        for start in range(0, max(drafts.height, 1), _CHUNK_ROWS)
    ]
    kind = pl.Array(pl.Float64, STEPS)
    hazards = {
        name: pl.Series(name, np.concatenate([one.hazards[name] for one in chunks]), kind)
        for name in HAZARDS
    }
    scalars = np.concatenate([one.scalars for one in chunks])
    return pl.DataFrame([drafts["invoice_id"], *_columns(scalars), *hazards.values()])


def _columns(scalars: Floats) -> pl.DataFrame:
    """Named columns, null where unknown. One row takes a path that wakes no pool of threads."""
    if len(scalars) == 1:
        row = [None if np.isnan(value) else value for value in scalars[0].tolist()]
        return pl.DataFrame([row], schema=dict.fromkeys(SCALARS, pl.Float64), orient="row")
    packed = pl.Series("packed", scalars, pl.Array(pl.Float64, len(SCALARS)))
    return (
        pl.DataFrame([packed])
        .lazy()
        .select(pl.col("packed").arr.to_struct(SCALARS))
        .unnest("packed")
        .select(pl.all().fill_nan(None))
        .collect(engine="in-memory", optimizations=pl.QueryOptFlags.none())
    )


@dataclass(frozen=True, slots=True)
class _Drafts:
    """Drafts as arrays, with their profile row and the size of their batch."""

    places: Days
    issued: Days
    due: Days
    calendar: Days
    log_amount: Floats
    same_day: Days
    same_due: Days

    @classmethod
    def of(cls, drafts: pl.DataFrame, profile: Profile) -> "_Drafts":
        places = _places(drafts, profile.keys)
        due = days_of(drafts["due_on"])
        amounts = np.maximum(drafts["total_minor"].to_numpy(), 1).astype(np.float64)
        _, batch, sizes = np.unique((places << 32) + due, return_inverse=True, return_counts=True)
        return cls(
            places=places,
            issued=days_of(drafts["issued_on"]),
            due=due,
            calendar=calendars(drafts["currency"]),
            log_amount=np.log(amounts),
            same_day=np.bincount(places, minlength=1)[places],
            same_due=sizes[batch],
        )

    def slice(self, first: int, last: int) -> "_Drafts":
        return _Drafts(*(getattr(self, name)[first:last] for name in self.__slots__))


def _places(drafts: pl.DataFrame, profiled: pl.DataFrame) -> Days:
    """The profile row of each draft."""
    names = ("customer_id", "issued_on", "labels_before")
    keys = [name for name in names if name in profiled.columns and name in drafts.columns]
    # One prepared row and drafts of its customer and morning: the hook; a join would cost as much
    # as everything else.
    if profiled.height == 1 and all((drafts[key] == profiled[key].item()).all() for key in keys):
        return np.zeros(drafts.height, dtype=np.int64)
    places = drafts[keys].join(
        profiled[keys].with_row_index("place"), on=keys, how="left", maintain_order="left"
    )["place"]
    if places.null_count():
        customer = drafts.filter(places.is_null())["customer_id"][0]
        message = f"customer {customer} has no profile of the draft's issue date: make it first"
        raise ModelError(message, customer=customer)
    return places.to_numpy().astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Figures:
    """``scalars``: one column a name of ``SCALARS``; ``hazards``: one array a name."""

    scalars: Floats
    hazards: dict[str, Floats]


def _figures(drafts: _Drafts, profile: Profile) -> _Figures:
    calendar, days, places = drafts.calendar, bank_days(), drafts.places
    weekday = days.weekday(calendar, drafts.due)
    everyone = profile.everyone.take(places)
    own = own_figures(
        OwnPast.of(profile.past, places),
        Draft(drafts.issued, weekday, drafts.log_amount),
        everyone.hazards,
        everyone.late_rate,
    )
    figures = {
        "terms_days": drafts.due - drafts.issued,
        "due_weekday": (drafts.due + 3) % 7 + 1,
        "days_to_bank_day": days.until_open(calendar, drafts.due),
        "days_from_bank_day": days.since_open(calendar, drafts.due),
        "bank_days_around": days.between(
            calendar, drafts.due - _AROUND_DAYS - 1, drafts.due + _AROUND_DAYS
        ),
        "log_amount": drafts.log_amount,
        "same_day_count": drafts.same_day,
        "same_due_count": drafts.same_due,
        **own.figures,
        **_own_late(own, drafts.due - drafts.issued),
        "portfolio_late_rate": everyone.late_rate,
        "portfolio_recent_late_rate": everyone.recent_late_rate,
        "portfolio_weekday_late_rate": np.take_along_axis(
            everyone.weekday_late_rates, weekday[:, None] - 1, axis=1
        )[:, 0],
        "open_dispute_count": profile.open_disputes[places],
        "dispute_share": profile.disputes[places] / np.maximum(profile.issued[places], 1.0),
        "due_day": drafts.due,
        "bank_calendar": calendar,
    }
    scalars = np.column_stack([figures[name] for name in SCALARS]).astype(np.float64)
    hazards = {
        "hazard_recent": own.recent,
        "hazard_weekday": own.weekday,
        "hazard_alike": own.alike,
    }
    return _Figures(scalars, hazards)


def _own_late(own: OwnFigures, terms: Days) -> dict[str, Floats]:
    """P(late) from hazards; a step that ends before the issue date can't be lived through."""
    is_possible = _EDGES[None, :_ON_TIME] >= -terms[:, None]
    kinds = {"recent": own.recent, "weekday": own.weekday, "amount": own.amount, "alike": own.alike}
    return {
        f"own_late_{name}": np.prod(1.0 - hazards[:, :_ON_TIME], axis=1, where=is_possible)
        for name, hazards in kinds.items()
    }
