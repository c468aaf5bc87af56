"""Plant faults in a share of the held-out invoices of a series, each kind equally often."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import INVOICE_LINES, INVOICES
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.usage import usage_days
from tests.benchmarks.detection.faults import AGAIN, FAULTS, Draft, NoEffectError, finish
from tests.benchmarks.detection.series import Series

SHARE: Final = 0.02
#: An error smaller than this share of the invoice is no fault worth the name.
SMALLEST_EFFECT: Final = 0.005

TRUTH: Final = pl.Schema(
    {
        "invoice_id": pl.String,
        "fault": pl.String,
        "true_total_minor": pl.Int64,
        "error_minor": pl.Int64,
    }
)


@dataclass(frozen=True)
class Injected:
    """A series with faults in it.

    ``truth``: one row a faulty invoice (``TRUTH``), ``error_minor`` at most the customer's median
    invoice before the held-out ones. ``unjudged``: invoices that are neither right nor wrong, the
    first of each doubled pair. ``events`` as they were delivered, repeated ids included.
    """

    series: Series
    invoices: pl.DataFrame
    lines: pl.DataFrame
    events: pl.DataFrame
    truth: pl.DataFrame
    unjudged: list[str]

    def inputs(self, *, with_events: bool) -> ScoringInputs:
        """What a judge is given."""
        is_draft = pl.col("issued_on") >= self.series.held_out_from
        return ScoringInputs(
            history=Books(self.invoices.filter(~is_draft), self.lines),
            drafts=Books(self.invoices.filter(is_draft), self.lines),
            customers=self.series.customers,
            usage_days=usage_days(self.events if with_events else self.events.clear()),
        )


def inject(series: Series, seed: int, share: float = SHARE) -> Injected:
    """Alter a share of the held-out invoices; everything is drawn from the seed."""
    rng = np.random.default_rng([seed, 7])
    held_out = series.held_out.sort("invoice_id")
    order = rng.permutation(held_out.height)
    count = round(held_out.height * share)
    names = [list(FAULTS)[index % len(FAULTS)] for index in rng.permutation(count)]
    # Some faults change nothing on some invoices: three candidates for each, in a drawn order.
    candidates = held_out.gather(order[: 3 * count])
    drafts = _Drafts(series, candidates)
    altered, truth = [], []
    waiting = candidates["invoice_id"].to_list()
    for name in names:
        for invoice_id in waiting:
            draft = drafts.draft(invoice_id, rng)
            error_minor = _altered(draft, name)
            if error_minor > 0:
                break
        else:
            message = f"no invoice left on which {name!r} has an effect"
            raise ValueError(message)
        waiting.remove(invoice_id)
        altered.append(draft)
        true_minor = drafts.heads[invoice_id]["total_minor"]
        truth.append((draft.head["invoice_id"], name, true_minor, error_minor))
    frame = pl.DataFrame(truth, schema=TRUTH, orient="row")
    return _assembled(series, altered, _capped(series, altered, frame))


def _altered(draft: Draft, name: str) -> int:
    """Make the draft wrong; return the money that is wrong, 0 where the fault changed nothing."""
    true_total, currency, draft_id = (
        draft.head[key] for key in ("total_minor", "currency", "invoice_id")
    )
    try:
        FAULTS[name](draft)
    except NoEffectError:
        return 0
    finish(draft)
    total = int(draft.head["total_minor"])
    if draft.head["currency"] != currency or draft.head["invoice_id"] != draft_id:
        return max(total, 1)
    error = abs(total - true_total)
    return error if error >= SMALLEST_EFFECT * max(true_total, 1) else 0


class _Drafts:
    """The candidates with all that belongs to them, looked up once."""

    def __init__(self, series: Series, candidates: pl.DataFrame) -> None:
        self.series = series
        self.heads = {row["invoice_id"]: row for row in candidates.to_dicts()}
        before = series.invoices.sort("customer_id", "issued_on", "invoice_id").select(
            "invoice_id", previous_id=pl.col("invoice_id").shift(1).over("customer_id")
        )
        ids = candidates.select("invoice_id")
        self.previous = dict(before.join(ids, on="invoice_id", how="semi").iter_rows())
        wanted = pl.concat([ids["invoice_id"], pl.Series(self.previous.values())]).drop_nulls()
        self.lines = series.lines.filter(pl.col("invoice_id").is_in(wanted.implode())).partition_by(
            "invoice_id", as_dict=True
        )
        windows = candidates.select("invoice_id", "customer_id", "period_start_on", "period_end_on")
        day = pl.col("occurred_at").dt.date()
        self.events = (
            series.events.join(windows, on="customer_id")
            .filter(day >= pl.col("period_start_on"), day < pl.col("period_end_on"))
            .sort("occurred_at", "id")
            .drop("period_start_on", "period_end_on")
            .partition_by("invoice_id", as_dict=True, include_key=False)
        )

    def draft(self, invoice_id: str, rng: np.random.Generator) -> Draft:
        return Draft(
            head=dict(self.heads[invoice_id]),
            lines=self._lines(invoice_id),
            previous=self._lines(self.previous.get(invoice_id)),
            events=self.events.get((invoice_id,), self.series.events.clear()),
            meters=self.series.meters,
            tax_rates=self.series.tax_rates,
            price_lists=self.series.price_lists,
            rng=rng,
        )

    def _lines(self, invoice_id: str | None) -> list[dict[str, Any]]:
        frame = self.lines.get((invoice_id,))
        return [] if frame is None else frame.sort(pl.col("line_id").cast(pl.Int64)).to_dicts()


def _capped(series: Series, altered: list[Draft], truth: pl.DataFrame) -> pl.DataFrame:
    """Count a fault at most as the customer's median invoice; new customers: as the true one."""
    history = series.invoices.filter(pl.col("issued_on") < series.held_out_from)
    median = history.group_by("customer_id").agg(median=pl.col("total_minor").median())
    owners = pl.DataFrame(
        {"customer_id": [draft.head["customer_id"] for draft in altered]}, schema=["customer_id"]
    )
    cap = owners.join(median, on="customer_id", how="left", maintain_order="left")["median"]
    limit = pl.coalesce(cap.cast(pl.Int64), pl.col("true_total_minor")).clip(1)
    return truth.with_columns(error_minor=pl.min_horizontal("error_minor", limit))


def _assembled(series: Series, altered: list[Draft], truth: pl.DataFrame) -> Injected:
    """Put the altered invoices, their lines and events in the place of the right ones."""
    heads = INVOICES.conform(
        pl.DataFrame([draft.head for draft in altered], schema_overrides=dict(INVOICES.schema))
    )
    own = [line for draft in altered for line in draft.lines]
    lines = pl.DataFrame(own, schema_overrides={"quantity": DECIMAL, "unit_price": DECIMAL})
    ids = heads["invoice_id"].implode()
    is_altered = pl.col("invoice_id").is_in(ids)
    events = series.events
    if series.meters:
        events = _with_events(events, altered)
    return Injected(
        series=series,
        invoices=pl.concat([series.invoices.filter(~is_altered), heads]),
        lines=pl.concat([series.lines.filter(~is_altered), INVOICE_LINES.conform(lines)]),
        events=events,
        truth=truth,
        unjudged=[one.removesuffix(AGAIN) for one in heads["invoice_id"] if one.endswith(AGAIN)],
    )


def _with_events(events: pl.DataFrame, altered: list[Draft]) -> pl.DataFrame:
    windows = pl.DataFrame(
        [
            (d.head["customer_id"], d.head["period_start_on"], d.head["period_end_on"])
            for d in altered
        ],
        schema=["customer_id", "from_on", "to_on"],
        orient="row",
    )
    day = pl.col("occurred_at").dt.date()
    inside = (
        events.with_row_index("row")
        .join(windows, on="customer_id")
        .filter(day >= pl.col("from_on"), day < pl.col("to_on"))
    )
    kept = events.with_row_index("row").join(inside, on="row", how="anti").drop("row")
    return pl.concat([kept, *(draft.events.select(kept.columns) for draft in altered)])
