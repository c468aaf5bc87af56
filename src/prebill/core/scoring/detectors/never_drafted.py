"""Never drafted: the invoice or line that should exist and is absent.

With agreements: contracts that price to something and have no draft. Without: customers invoiced
as regularly as a clock whose next invoice is due among these drafts and isn't there, and products
that stood on each of the last invoices.
"""

from typing import Final

import numpy as np
import polars as pl

from prebill.core.schemas.internal import GAPS
from prebill.core.scoring.agreed import compared
from prebill.core.scoring.detectors.base import Detector, Judged, Scene
from prebill.core.scoring.detectors.conformance import CERTAIN
from prebill.core.scoring.features.declaration import AGREED, LINES, TOTALS
from prebill.core.scoring.frames import Agreements
from prebill.core.scoring.windows import latest_values, row_median
from prebill.core.scoring.words import estimated_minor, money_text

#: Earlier invoices that make a cadence, or a product a standing one.
LEAST_INVOICES: Final = 4
#: A cadence may wander by this share of its gap.
WANDER: Final = 0.2
#: A standing product was on each of so many last invoices.
STANDING: Final = 4


def judge(scene: Scene) -> Judged:
    """List what was to be expected and is absent."""
    agreements = scene.inputs.agreements
    if agreements is not None:
        gaps = _by_contract(agreements)
    elif scene.drafts.is_empty():
        gaps = GAPS.empty()
    else:
        gaps = pl.concat([_by_cadence(scene), _standing_products(scene)])
    return Judged(gaps=gaps.sort("customer_id", "kind", "product"))


def _by_contract(agreements: Agreements) -> pl.DataFrame:
    rows = compared(agreements).filter(pl.col("amount_minor").is_null())
    billed = agreements.drafts.select("contract_id").unique()
    whole = agreements.expected_drafts.join(billed, on="contract_id", how="anti").filter(
        pl.col("total_minor") != 0
    )
    invoices = whole.select(
        "customer_id",
        "currency",
        kind=pl.lit("invoice"),
        product=pl.lit(""),
        expected_minor="total_minor",
        score=pl.lit(CERTAIN),
        text=pl.concat_str(
            pl.lit("contract "),
            "contract_id",
            pl.lit(" expects an invoice of "),
            money_text(pl.col("total_minor"), pl.col("currency")),
            pl.lit("; none was drafted: no subscription fulfils it"),
        ),
    )
    absent = rows.filter(pl.col("draft_id").is_not_null(), pl.col("amount_minor_agreed") > 0)
    lines = absent.select(
        "customer_id",
        "currency",
        kind=pl.lit("line"),
        product="charge_id",
        invoice_id="draft_id",
        expected_minor="amount_minor_agreed",
        score=pl.lit(CERTAIN),
        text=pl.concat_str(
            pl.lit("contract "),
            "contract_id",
            pl.lit(" expects "),
            "name_agreed",
            pl.lit(" for "),
            money_text(pl.col("amount_minor_agreed"), pl.col("currency")),
        ),
    )
    found = pl.concat([GAPS.conform(invoices), GAPS.conform(lines)])
    return (
        found.group_by(GAPS.key, maintain_order=True)
        .agg(
            pl.col("invoice_id", "currency").first(),
            pl.col("expected_minor").sum(),
            pl.col("score").max(),
            pl.col("text").first(),
        )
        .select(GAPS.names)
    )


def _by_cadence(scene: Scene) -> pl.DataFrame:
    """Series whose next invoice falls among the days of the drafts and is absent."""
    past = scene.books.invoices.filter(~pl.col("is_draft")).with_columns(
        day=pl.col("issued_on").cast(pl.Int32).cast(pl.Float64),
        total=pl.col("total_minor").cast(pl.Float64),
    )
    first_on, last_on = scene.drafts["issued_on"].min(), scene.drafts["issued_on"].max()
    here = scene.drafts.select("series").unique()
    keys = (
        past.select("series", "customer_id", "currency")
        .unique("series", keep="first", maintain_order=True)
        .join(here, on="series", how="anti")
        .with_columns(as_of_on=pl.lit(first_on))
    )
    if keys.is_empty():
        return GAPS.empty()
    window = latest_values(past.unique(["series", "issued_on"]), keys, ["day", "total"])
    days = window["day"]
    between = days[:, :-1] - days[:, 1:]
    gap = row_median(between)
    wander = np.nanmax(np.abs(np.nan_to_num(between - gap[:, None])), axis=1)
    frame = keys.with_columns(
        known=pl.Series(window.count),
        gap=pl.Series(gap),
        wander=pl.Series(wander),
        due=pl.Series(days[:, 0] + gap),
        ordinary=pl.Series(row_median(window["total"])),
    )
    begins = pl.lit(first_on).cast(pl.Int32) - pl.col("gap") * WANDER
    is_due = pl.col("due").is_between(begins, pl.lit(last_on).cast(pl.Int32))
    late = frame.filter(
        pl.col("known") >= LEAST_INVOICES,
        pl.col("gap") >= 2,
        pl.col("wander") <= WANDER * pl.col("gap"),
        is_due,
    ).with_columns(expected_minor=estimated_minor(pl.col("ordinary")))
    return GAPS.conform(
        late.select(
            "customer_id",
            "currency",
            "expected_minor",
            kind=pl.lit("invoice"),
            product=pl.lit(""),
            score=_sureness(pl.col("known")),
            text=pl.concat_str(
                pl.lit("invoiced every "),
                pl.col("gap").round(0).cast(pl.Int64),
                pl.lit(" days, ordinarily "),
                money_text(pl.col("expected_minor"), pl.col("currency")),
                pl.lit("; no draft this time"),
            ),
        ).unique(GAPS.key, keep="first")
    )


def _standing_products(scene: Scene) -> pl.DataFrame:
    """Products of each of the series' last invoices that its draft lacks."""
    drafts = scene.drafts.select("invoice_id", "series", "customer_id", "currency", "issued_on")
    latest = (
        scene.books.invoices.select("series", past_id="invoice_id", past_on="issued_on")
        .join(drafts, on="series")
        .filter(pl.col("past_on") < pl.col("issued_on"))
        .sort("past_on", descending=True)
        .group_by("invoice_id", "customer_id", "currency", maintain_order=True)
        .agg(past_id=pl.col("past_id").head(STANDING))
        .filter(pl.col("past_id").list.len() == STANDING)
        .explode("past_id")
    )
    lines = scene.books.lines.select("invoice_id", "product", "amount_minor")
    standing = (
        latest.join(lines.rename({"invoice_id": "past_id"}), on="past_id")
        .group_by("invoice_id", "customer_id", "currency", "product")
        .agg(
            times=pl.col("past_id").n_unique(),
            ordinary=pl.col("amount_minor").cast(pl.Float64).median(),
        )
        .filter(pl.col("times") == STANDING, pl.col("ordinary") > 0)
    )
    has_lines = lines.select("invoice_id").unique()
    absent = (
        standing.join(has_lines, on="invoice_id", how="semi")
        .join(lines, on=["invoice_id", "product"], how="anti")
        .with_columns(expected_minor=estimated_minor(pl.col("ordinary")))
    )
    return GAPS.conform(
        absent.select(
            "customer_id",
            "currency",
            "product",
            "invoice_id",
            "expected_minor",
            kind=pl.lit("line"),
            score=_sureness(pl.lit(STANDING)),
            text=pl.concat_str(
                pl.col("product"),
                pl.lit(f" stood on each of the last {STANDING} invoices, ordinarily "),
                money_text(pl.col("expected_minor"), pl.col("currency")),
                pl.lit("; this draft lacks it"),
            ),
        ).unique(GAPS.key, keep="first", maintain_order=True)
    )


def _sureness(times: pl.Expr) -> pl.Expr:
    """P(it comes again | it came so many times without exception): rule of succession."""
    return (times + 1) / (times + 2)


NEVER_DRAFTED: Final = Detector(
    "never_drafted", "agreements, or regular history", judge, sources=(*TOTALS, *LINES, *AGREED)
)
