"""Payment behaviour of a customer as it was known on a day, and of one invoice against it.

``receivables`` finds when each invoice was settled; ``profile`` says what was known of a customer
on a morning (nothing dated that day or later); ``features`` sets a draft beside that profile.
An invoice that is unpaid past its due date counts as late from that day on: it is known by then.
"""

from datetime import timedelta
from typing import Final

import polars as pl

#: An invoice is settled once payments and credits reach this share of the total (bank charges).
SETTLED_PER_MILLE: Final = 995
#: Delays beyond this are entered as this: one forgotten invoice must not own a customer's mean.
DELAY_FLOOR: Final = -60
DELAY_CEILING: Final = 120
#: Pseudo-observations with which a customer's rate is pulled to the portfolio's.
PRIOR_WEIGHT: Final = 4.0
#: The same for a weekday or amount band, pulled to the customer's own.
CELL_WEIGHT: Final = 3.0
RECENT_DAYS: Final = 30
WEEKDAYS: Final = 7
#: Amount bands of factor e^1.5, from about 4 to about 300,000 major units.
AMOUNT_BANDS: Final = 8
PRIOR_LATE_RATE: Final = 0.3
PRIOR_DELAY: Final = 0.0

_DAY = timedelta(days=1)

#: Feature → what it means. Every one is null-safe: null means "not known yet".
FEATURES: Final[dict[str, str]] = {
    "terms_days": "due date less issue date",
    "due_weekday": "1 Monday to 7 Sunday",
    "due_month_day": "day of the month of the due date",
    "issued_weekday": "1 Monday to 7 Sunday",
    "log_amount": "natural logarithm of the total in minor units",
    "relative_amount": "log amount less the customer's mean log amount",
    "same_day_count": "invoices of the customer in the same batch",
    "same_due_count": "invoices of the customer in the same batch with the same due date",
    "tenure_days": "since the customer's first invoice",
    "days_since_issue": "since the customer's latest earlier invoice",
    "issued_count": "earlier invoices",
    "known_count": "earlier invoices known to be on time or late",
    "late_rate": "share known late, pulled to the portfolio",
    "late_rate_fast": "the same, half-life 5 invoices",
    "late_rate_slow": "the same, half-life 30 invoices",
    "late5_rate": "share of settled invoices more than 5 days late",
    "delay_mean": "mean days after due of settled invoices",
    "delay_deviation": "standard deviation of the same",
    "delay_median": "median of the last 10",
    "delay_fast": "exponential mean, half-life 2 invoices",
    "delay_slow": "exponential mean, half-life 15 invoices",
    "days_since_settled": "since the latest payment that settled an invoice",
    "open_count": "issued and not settled",
    "overdue_count": "open and past due",
    "overdue_share": "overdue amount of the open amount",
    "overdue_age": "mean days past due of the overdue",
    "overdue_newest_age": "days since the latest invoice went past due unpaid",
    "open_load": "open amount in mean invoices of the customer",
    "weekday_late_rate": "late rate of invoices due on this weekday",
    "weekday_delay": "mean delay of invoices due on this weekday",
    "weekday_delay_fast": "the same, half-life 3 invoices",
    "band_late_rate": "late rate of invoices of a similar amount",
    "band_delay": "mean delay of invoices of a similar amount",
    "portfolio_late_rate": "late rate of everyone's outcomes of the last 30 days",
    "portfolio_weekday_late_rate": "everyone's late rate of invoices due on this weekday",
}
#: Share of the customer's settlements on each weekday; the hazard of a day reads its own.
WEEKDAY_SHARES: Final = tuple(f"settled_weekday_{day}" for day in range(1, WEEKDAYS + 1))
COLUMNS: Final = (*FEATURES, *WEEKDAY_SHARES)


def receivables(
    invoices: pl.DataFrame,
    payments: pl.DataFrame,
    credit_notes: pl.DataFrame,
    drafts: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Join invoices with the day on which each was settled.

    Parameters
    ----------
    invoices, payments, credit_notes : pl.DataFrame
        ``INVOICES``, ``PAYMENTS``, ``CREDIT_NOTES``.
    drafts : pl.DataFrame or None
        ``INVOICES`` that are being judged. A draft replaces a history row of the same id, its own
        payments and credits are never read, and it stays unlabelled: neither paid nor late.

    Returns
    -------
    pl.DataFrame, one row per invoice
        ``invoice_id, customer_id, currency, issued_on, due_on, total_minor``,
        ``settled_on`` (null: open) and ``is_labelled``.
    """
    columns = ["invoice_id", "customer_id", "currency", "issued_on", "due_on", "total_minor"]
    labelled = invoices.select(columns).with_columns(is_labelled=pl.lit(value=True))
    if drafts is not None:
        labelled = labelled.join(drafts.select("invoice_id"), on="invoice_id", how="anti")
        unlabelled = drafts.select(columns).with_columns(is_labelled=pl.lit(value=False))
        labelled = pl.concat([labelled, unlabelled])
    settled = labelled.join(
        settlements(labelled, payments, credit_notes), on="invoice_id", how="left"
    )
    kept = pl.when("is_labelled").then("settled_on")
    return settled.with_columns(settled_on=kept).sort("customer_id", "issued_on", "invoice_id")


def settlements(
    invoices: pl.DataFrame, payments: pl.DataFrame, credit_notes: pl.DataFrame
) -> pl.DataFrame:
    """Find the first day on which payments and credits reach the total less tolerance.

    Returns
    -------
    pl.DataFrame, one row per settled invoice
        ``invoice_id`` and ``settled_on``. The day depends on no later payment, so a settlement
        before a day is known from what is dated before that day.
    """
    received = pl.concat(
        [
            payments.select("invoice_id", day="paid_on", amount_minor="amount_minor"),
            credit_notes.select("invoice_id", day="issued_on", amount_minor="amount_minor"),
        ]
    )
    due = invoices.filter(pl.col("total_minor") > 0).select("invoice_id", "total_minor")
    daily = (
        received.group_by("invoice_id", "day")
        .agg(pl.col("amount_minor").sum())
        .join(due, on="invoice_id")
        .sort("invoice_id", "day")
    )
    paid_minor = pl.col("amount_minor").cum_sum().over("invoice_id")
    is_reached = paid_minor * 1000 >= pl.col("total_minor") * SETTLED_PER_MILLE
    return daily.filter(is_reached).group_by("invoice_id").agg(settled_on=pl.col("day").min())


def profile(receivables: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """What was known of each customer on a morning: rows dated that day or later are not read.

    Parameters
    ----------
    receivables : pl.DataFrame
        From :func:`receivables`.
    keys : pl.DataFrame
        ``customer_id`` and ``issued_on``: the customers and days wanted.

    Returns
    -------
    pl.DataFrame, one row per distinct key
        The state that :func:`features` reads, lists for weekdays and amount bands. A customer
        never seen before has the portfolio's figures and null for its own.
    """
    wanted = keys.select("customer_id", "issued_on").unique().sort("issued_on", "customer_id")
    known = _with_visible_days(receivables)
    state = wanted
    for part in (_issued(known), _balance(known), _outcomes(known), _settled(known)):
        state = _as_of(state, part, by=["customer_id"])
    state = _with_portfolio(state, known)
    for cell, size in (("weekday", WEEKDAYS), ("band", AMOUNT_BANDS)):
        state = _with_cells(state, known, cell, size)
    return state


def features(drafts: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Set each draft beside its customer's profile of the morning of its issue date.

    Parameters
    ----------
    drafts : pl.DataFrame
        ``INVOICES``; rows of one customer and issue date are one batch.
    profile : pl.DataFrame
        From :func:`profile`, holding every (customer, issue date) of the drafts.

    Returns
    -------
    pl.DataFrame, one row per draft, in the order of the drafts
        ``invoice_id`` and ``COLUMNS`` as Float64.
    """
    batch = ["customer_id", "issued_on"]
    rows = drafts.select(
        *("invoice_id", "customer_id", "issued_on", "due_on"),
        log_amount=_log_amount(),
        weekday=pl.col("due_on").dt.weekday(),
        band=_band(),
        same_day_count=pl.len().over(batch),
        same_due_count=pl.len().over([*batch, "due_on"]),
    ).join(profile, on=batch, how="left", maintain_order="left")
    rows = rows.with_columns(_own_columns()).with_columns(_cell_columns())
    return rows.select("invoice_id", *(pl.col(name).cast(pl.Float64) for name in COLUMNS))


def _log_amount() -> pl.Expr:
    return pl.col("total_minor").clip(1).cast(pl.Float64).log()


def _band() -> pl.Expr:
    return ((_log_amount() - 6.0) / 1.5).floor().clip(0, AMOUNT_BANDS - 1).cast(pl.Int8) + 1


def _with_visible_days(receivables: pl.DataFrame) -> pl.DataFrame:
    """Add the first morning on which issue, outcome and settlement of each invoice are known."""
    issue_seen_on = pl.col("issued_on") + _DAY
    is_late = pl.col("settled_on").is_null() | (pl.col("settled_on") > pl.col("due_on"))
    settled_seen_on = pl.max_horizontal(pl.col("settled_on") + _DAY, issue_seen_on)
    overdue_seen_on = pl.max_horizontal(pl.col("due_on") + _DAY, issue_seen_on)
    delay = (pl.col("settled_on") - pl.col("due_on")).dt.total_days()
    return (
        receivables.filter(pl.col("total_minor") > 0)
        .with_columns(
            issue_seen_on=issue_seen_on,
            is_late=is_late,
            settled_seen_on=pl.when(pl.col("settled_on").is_not_null()).then(settled_seen_on),
            overdue_seen_on=overdue_seen_on,
            delay=delay.clip(DELAY_FLOOR, DELAY_CEILING).cast(pl.Float64),
            log_amount=_log_amount(),
            amount=pl.col("total_minor").cast(pl.Float64),
            weekday=pl.col("due_on").dt.weekday(),
            band=_band(),
        )
        .with_columns(
            outcome_seen_on=pl.when(pl.col("is_labelled")).then(
                pl.when("is_late").then("overdue_seen_on").otherwise("settled_seen_on")
            )
        )
    )


def _as_of(state: pl.DataFrame, part: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Join the last row of ``part`` that was visible on the morning of ``issued_on``."""
    return state.join_asof(
        part.sort("seen_on"),
        left_on="issued_on",
        right_on="seen_on",
        by=by,
        check_sortedness=False,
        coalesce=False,
    ).drop("seen_on")


def _last_of_day(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return rows.unique([*by, "seen_on"], keep="last", maintain_order=True)


def _issued(known: pl.DataFrame) -> pl.DataFrame:
    rows = known.sort("customer_id", "issue_seen_on", "invoice_id").select(
        "customer_id",
        seen_on="issue_seen_on",
        issued_count=pl.int_range(1, pl.len() + 1).over("customer_id"),
        first_issued_on=pl.col("issued_on").first().over("customer_id"),
        last_issued_on=pl.col("issued_on"),
        log_amount_sum=pl.col("log_amount").cum_sum().over("customer_id"),
    )
    return _last_of_day(rows, ["customer_id"])


def _balance(known: pl.DataFrame) -> pl.DataFrame:
    """Open and overdue counts and amounts: cumulated changes of each morning.

    A draft has no known payment: it counts as open until its due date and then leaves unjudged.
    """
    labelled = known.filter("is_labelled")
    late = labelled.filter("is_late")
    epoch_due = pl.col("due_on").to_physical().cast(pl.Float64)
    zero = pl.lit(0.0)

    def change(rows: pl.DataFrame, day: str, sign: float, *, of_overdue: bool) -> pl.DataFrame:
        one, amount = pl.lit(sign), pl.col("amount") * sign
        return rows.select(
            "customer_id",
            seen_on=day,
            open_count=zero if of_overdue else one,
            open_amount=zero if of_overdue else amount,
            overdue_count=one if of_overdue else zero,
            overdue_amount=amount if of_overdue else zero,
            overdue_due_sum=epoch_due * sign if of_overdue else zero,
            overdue_on=pl.col("due_on") if of_overdue and sign > 0 else pl.lit(None, pl.Date),
        )

    settled = pl.col("settled_seen_on").is_not_null()
    late_settled = late.filter(settled).with_columns(
        left_on=pl.max_horizontal("settled_seen_on", "overdue_seen_on")
    )
    changes = pl.concat(
        [
            change(known, "issue_seen_on", 1.0, of_overdue=False),
            change(labelled.filter(settled), "settled_seen_on", -1.0, of_overdue=False),
            change(known.filter(~pl.col("is_labelled")), "overdue_seen_on", -1.0, of_overdue=False),
            change(late, "overdue_seen_on", 1.0, of_overdue=True),
            change(late_settled, "left_on", -1.0, of_overdue=True),
        ]
    )
    sums = ["open_count", "open_amount", "overdue_count", "overdue_amount", "overdue_due_sum"]
    daily = changes.group_by("customer_id", "seen_on").agg(
        pl.col(sums).sum(), pl.col("overdue_on").max()
    )
    return daily.sort("customer_id", "seen_on").with_columns(
        *(pl.col(name).cum_sum().over("customer_id") for name in sums),
        pl.col("overdue_on").forward_fill().over("customer_id"),
    )


def _outcomes(known: pl.DataFrame) -> pl.DataFrame:
    late = pl.col("is_late").cast(pl.Float64)
    rows = (
        known.filter(pl.col("outcome_seen_on").is_not_null())
        .sort("customer_id", "outcome_seen_on", "invoice_id")
        .select(
            "customer_id",
            seen_on="outcome_seen_on",
            known_count=pl.int_range(1, pl.len() + 1).over("customer_id"),
            late_count=late.cum_sum().over("customer_id"),
            late_rate_fast=late.ewm_mean(half_life=5).over("customer_id"),
            late_rate_slow=late.ewm_mean(half_life=30).over("customer_id"),
        )
    )
    return _last_of_day(rows, ["customer_id"])


def _settled(known: pl.DataFrame) -> pl.DataFrame:
    delay = pl.col("delay")
    own = "customer_id"
    rows = (
        known.filter(pl.col("settled_seen_on").is_not_null())
        .sort(own, "settled_seen_on", "invoice_id")
        .select(
            own,
            seen_on="settled_seen_on",
            settled_count=pl.int_range(1, pl.len() + 1).over(own),
            delay_sum=delay.cum_sum().over(own),
            delay_square_sum=(delay * delay).cum_sum().over(own),
            late5_count=(delay > 5).cast(pl.Float64).cum_sum().over(own),
            delay_median=delay.rolling_median(10, min_samples=1).over(own),
            delay_fast=delay.ewm_mean(half_life=2).over(own),
            delay_slow=delay.ewm_mean(half_life=15).over(own),
            last_settled_on=pl.col("settled_on"),
            **{
                f"settled_weekday_{day}_count": (pl.col("settled_on").dt.weekday() == day)
                .cast(pl.Float64)
                .cum_sum()
                .over(own)
                for day in range(1, WEEKDAYS + 1)
            },
        )
    )
    return _last_of_day(rows, [own])


def _with_portfolio(state: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Add everyone's late rate, ever and of the recent days, and mean delay."""
    outcomes = (
        known.filter(pl.col("outcome_seen_on").is_not_null())
        .group_by(seen_on="outcome_seen_on")
        .agg(all_known=pl.len().cast(pl.Float64), all_late=pl.col("is_late").sum())
        .sort("seen_on")
        .with_columns(pl.col("all_known").cum_sum(), pl.col("all_late").cum_sum())
    )
    settled = (
        known.filter(pl.col("settled_seen_on").is_not_null())
        .group_by(seen_on="settled_seen_on")
        .agg(all_settled=pl.len().cast(pl.Float64), all_delay=pl.col("delay").sum())
        .sort("seen_on")
        .with_columns(pl.col("all_settled").cum_sum(), pl.col("all_delay").cum_sum())
    )
    before = outcomes.select(
        pl.col("seen_on").dt.offset_by(f"{RECENT_DAYS}d"),
        before_known="all_known",
        before_late="all_late",
    )
    joined = state
    for part in (outcomes, settled, before):
        joined = joined.join_asof(
            part, left_on="issued_on", right_on="seen_on", coalesce=False
        ).drop("seen_on")
    recent_known = pl.col("all_known").fill_null(0) - pl.col("before_known").fill_null(0)
    recent_late = pl.col("all_late").fill_null(0) - pl.col("before_late").fill_null(0)
    ever = (pl.col("all_late").fill_null(0) + 10 * PRIOR_LATE_RATE) / (
        pl.col("all_known").fill_null(0) + 10
    )
    return joined.with_columns(
        all_late_rate=ever,
        portfolio_late_rate=(recent_late + 10 * ever) / (recent_known + 10),
        all_delay_mean=(pl.col("all_delay").fill_null(0) + 10 * PRIOR_DELAY)
        / (pl.col("all_settled").fill_null(0) + 10),
    ).drop("all_known", "all_late", "all_settled", "all_delay", "before_known", "before_late")


def _with_cells(state: pl.DataFrame, known: pl.DataFrame, cell: str, size: int) -> pl.DataFrame:
    """Add, as lists by weekday or amount band, the customer's own counts, late and delays."""
    by = ["customer_id", cell]
    late = pl.col("is_late").cast(pl.Float64)
    outcomes = _last_of_day(
        known.filter(pl.col("outcome_seen_on").is_not_null())
        .sort(*by, "outcome_seen_on", "invoice_id")
        .select(
            *by,
            seen_on="outcome_seen_on",
            known=pl.int_range(1, pl.len() + 1).over(by).cast(pl.Float64),
            late=late.cum_sum().over(by),
        ),
        by,
    )
    settled = _last_of_day(
        known.filter(pl.col("settled_seen_on").is_not_null())
        .sort(*by, "settled_seen_on", "invoice_id")
        .select(
            *by,
            seen_on="settled_seen_on",
            settled=pl.int_range(1, pl.len() + 1).over(by).cast(pl.Float64),
            delay=pl.col("delay").cum_sum().over(by),
            fast=pl.col("delay").ewm_mean(half_life=3).over(by),
        ),
        by,
    )
    cells = state.select("customer_id", "issued_on").join(
        pl.DataFrame({cell: range(1, size + 1)}, schema={cell: pl.Int8}), how="cross"
    )
    for part in (outcomes, settled):
        cells = _as_of(cells, part, by=by)
    everyone = _everyone(cells.select("issued_on", cell), known, cell) if cell == "weekday" else []
    lists = (
        cells.hstack(everyone)
        .group_by("customer_id", "issued_on", maintain_order=True)
        .agg(pl.exclude("customer_id", "issued_on", cell).name.prefix(f"{cell}_"))
    )
    return state.join(lists, on=["customer_id", "issued_on"], how="left", maintain_order="left")


def _everyone(cells: pl.DataFrame, known: pl.DataFrame, cell: str) -> list[pl.Series]:
    """The whole portfolio's cumulated outcomes of each cell, aligned with ``cells``."""
    outcomes = (
        known.filter(pl.col("outcome_seen_on").is_not_null())
        .group_by(cell, seen_on="outcome_seen_on")
        .agg(all_known=pl.len().cast(pl.Float64), all_late=pl.col("is_late").sum())
        .sort(cell, "seen_on")
        .with_columns(
            pl.col("all_known").cum_sum().over(cell),
            pl.col("all_late").cum_sum().over(cell).cast(pl.Float64),
        )
    )
    joined = _as_of(cells, outcomes, by=[cell])
    return [joined["all_known"], joined["all_late"]]


def _days_since(column: str) -> pl.Expr:
    return (pl.col("issued_on") - pl.col(column)).dt.total_days()


def _own_columns() -> list[pl.Expr]:
    """Figures of the draft and of the customer as a whole."""
    settled = pl.col("settled_count")
    mean = pl.col("delay_sum") / settled
    variance = pl.col("delay_square_sum") / settled - mean * mean
    overdue = pl.col("overdue_count") > 0
    mean_log_amount = pl.col("log_amount_sum") / pl.col("issued_count")
    epoch_day = pl.col("issued_on").to_physical().cast(pl.Float64)
    due_mean = pl.col("overdue_due_sum") / pl.col("overdue_count")
    return [
        (pl.col("due_on") - pl.col("issued_on")).dt.total_days().alias("terms_days"),
        pl.col("weekday").alias("due_weekday"),
        pl.col("due_on").dt.day().alias("due_month_day"),
        pl.col("issued_on").dt.weekday().alias("issued_weekday"),
        (pl.col("log_amount") - mean_log_amount).alias("relative_amount"),
        _days_since("first_issued_on").alias("tenure_days"),
        _days_since("last_issued_on").alias("days_since_issue"),
        _pulled("late_count", "known_count", PRIOR_WEIGHT, pl.col("all_late_rate"), "late_rate"),
        (pl.col("late5_count") / settled).alias("late5_rate"),
        _pulled("delay_sum", "settled_count", PRIOR_WEIGHT, pl.col("all_delay_mean"), "delay_mean"),
        variance.clip(0).sqrt().alias("delay_deviation"),
        _days_since("last_settled_on").alias("days_since_settled"),
        (pl.col("overdue_amount") / pl.col("open_amount").clip(1)).alias("overdue_share"),
        pl.when(overdue).then(epoch_day - due_mean).alias("overdue_age"),
        pl.when(overdue).then(_days_since("overdue_on")).alias("overdue_newest_age"),
        (pl.col("open_amount") / mean_log_amount.exp()).alias("open_load"),
        *(
            ((pl.col(f"{name}_count") + 0.2 * PRIOR_WEIGHT) / (settled + PRIOR_WEIGHT)).alias(name)
            for name in WEEKDAY_SHARES
        ),
    ]


def _pulled(part: str, whole: str, weight: float, towards: pl.Expr, name: str) -> pl.Expr:
    """``part / whole`` with ``weight`` pseudo-observations at ``towards``."""
    count = pl.col(whole).fill_null(0)
    return ((pl.col(part).fill_null(0) + weight * towards) / (count + weight)).alias(name)


def _cell_columns() -> list[pl.Expr]:
    """Figures of the draft's own weekday and amount band."""
    at = {cell: pl.col(cell) - 1 for cell in ("weekday", "band")}

    def cell_value(cell: str, name: str) -> pl.Expr:
        return pl.col(f"{cell}_{name}").list.get(at[cell])

    def pulled(cell: str, part: str, whole: str, towards: str) -> pl.Expr:
        count = cell_value(cell, whole).fill_null(0)
        total = cell_value(cell, part).fill_null(0)
        return (total + CELL_WEIGHT * pl.col(towards)) / (count + CELL_WEIGHT)

    everyone_late = cell_value("weekday", "all_late").fill_null(0)
    everyone_known = cell_value("weekday", "all_known").fill_null(0)
    return [
        pulled("weekday", "late", "known", "late_rate").alias("weekday_late_rate"),
        pulled("weekday", "delay", "settled", "delay_mean").alias("weekday_delay"),
        cell_value("weekday", "fast").alias("weekday_delay_fast"),
        pulled("band", "late", "known", "late_rate").alias("band_late_rate"),
        pulled("band", "delay", "settled", "delay_mean").alias("band_delay"),
        ((everyone_late + 10 * pl.col("all_late_rate")) / (everyone_known + 10)).alias(
            "portfolio_weekday_late_rate"
        ),
    ]
