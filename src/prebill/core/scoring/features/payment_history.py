"""When each invoice was settled, and what was known of each customer on a morning.

``receivables`` finds the day of settlement; ``profile`` the state that :mod:`.payment` sets a draft
beside. Each fact has the first morning on which it is known; a profile reads only those up to its
own morning, so rows dated that day or later change nothing. Cumulated along each customer, never
joined pair by pair: the cost grows with the rows, not with their square.
"""

from datetime import timedelta
from typing import Final

import polars as pl

#: An invoice is settled once payments and credits reach this share of the total (bank charges).
SETTLED_PER_MILLE: Final = 995
#: Delays beyond this are entered as this: one forgotten invoice must not own a customer's mean.
DELAY_FLOOR: Final = -60
DELAY_CEILING: Final = 120
RECENT_DAYS: Final = 30
WEEKDAYS: Final = 7
#: Amount bands of factor e^1.5, from about 4 to about 300,000 major units.
AMOUNT_BANDS: Final = 8
PRIOR_LATE_RATE: Final = 0.3
PRIOR_DELAY: Final = 0.0
#: Half-lives, in settled invoices, of the own and of the portfolio's delay distribution.
OWN_HALF_LIFE: Final = 40
PORTFOLIO_HALF_LIFE: Final = 2000
#: Last day after due of each step in which the hazard of being settled is learnt.
EDGES: Final = (
    *(-20, -12, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    *(12, 14, 17, 21, 28, 35, 45, 60, 90),
)
STEPS: Final = len(EDGES)

_DAY = timedelta(days=1)


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
    ids = pl.concat([receivables["customer_id"], wanted["customer_id"]]).unique().sort()
    known = _with_visible_days(_numbered(receivables, ids)).with_columns(
        invoice_id=pl.col("invoice_id").rank("ordinal")
    )
    state = _numbered(wanted, ids)
    for part in (_issued(known), _balance(known), _outcomes(known), _settled(known)):
        state = _as_of(state, part, by=["customer_id"])
    state = _with_portfolio(state, known)
    state = _with_delays(state, known)
    for cell, size in (("weekday", WEEKDAYS), ("band", AMOUNT_BANDS)):
        state = _with_cells(state, known, cell, size)
    return state.with_columns(customer_id=ids.gather(state["customer_id"]))


def _numbered(rows: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Customers as their number in the sorted ``ids``: windows over text cost twice as much."""
    numbers = pl.DataFrame({"customer_id": ids}).with_row_index("number")
    joined = rows.join(numbers, on="customer_id", how="left", maintain_order="left")
    return joined.with_columns(customer_id="number").drop("number")


def log_amount() -> pl.Expr:
    """Natural logarithm of the total in minor units."""
    return pl.col("total_minor").clip(1).cast(pl.Float64).log()


def band() -> pl.Expr:
    """Amount band, 1 to ``AMOUNT_BANDS``."""
    return ((log_amount() - 6.0) / 1.5).floor().clip(0, AMOUNT_BANDS - 1).cast(pl.Int8) + 1


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
            log_amount=log_amount(),
            amount=pl.col("total_minor").cast(pl.Float64),
            weekday=pl.col("due_on").dt.weekday(),
            band=band(),
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
    ).drop("all_known", "all_late", "all_delay", "before_known", "before_late")


def _with_delays(state: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Add, as lists by step, the distribution of delays: the customer's own and everyone's.

    Recent invoices weigh more (exponential mean of "settled in this step"); the last entry is the
    share settled after the last step.
    """
    settled = known.filter(pl.col("settled_seen_on").is_not_null()).with_columns(
        step=pl.lit(pl.Series(EDGES, dtype=pl.Float64)).search_sorted(pl.col("delay"), side="left")
    )
    names = [f"step_{step}" for step in range(STEPS + 1)]

    def shares(half_life: int) -> list[pl.Expr]:
        return [
            (pl.col("step") == step).cast(pl.Float64).ewm_mean(half_life=half_life).alias(name)
            for step, name in enumerate(names)
        ]

    own = settled.sort("customer_id", "settled_seen_on", "invoice_id").select(
        "customer_id",
        pl.col("settled_seen_on").alias("seen_on"),
        *(share.over("customer_id") for share in shares(OWN_HALF_LIFE)),
    )
    everyone = settled.sort("settled_seen_on", "customer_id", "invoice_id").select(
        pl.col("settled_seen_on").alias("seen_on"), *shares(PORTFOLIO_HALF_LIFE)
    )

    days = own.select("customer_id", "seen_on").with_row_index("place")
    state = _as_of(state, _last_of_day(days, ["customer_id"]), by=["customer_id"])
    # Lists only of the rows that were asked for: those of every settled invoice cost more than all.
    own_delays = own.select(pl.col(names).gather(state["place"])).select(pl.concat_list(names))
    all_delays = _last_of_day(everyone, []).select("seen_on", all_delays=pl.concat_list(names))
    state = state.with_columns(
        own_delays=pl.when(pl.col("place").is_not_null()).then(own_delays.to_series())
    ).drop("place")
    return state.join_asof(
        all_delays, left_on="issued_on", right_on="seen_on", coalesce=False
    ).drop("seen_on")


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
            late_fast=late.ewm_mean(half_life=8).over(by),
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
