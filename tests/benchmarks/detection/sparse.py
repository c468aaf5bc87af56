"""Sparse monthly: real invoices in the gate's files, a few a customer, with lines."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES, INVOICES
from tests.benchmarks.detection.series import Series

HELD_OUT_FROM: Final = date(2011, 7, 1)
TAX_RATES: Final = {"GB-S": Decimal(20), "EXPORT-0": Decimal(0)}
#: Log of how far the last two invoices are from those before, for a customer to be called drifting.
DRIFTED: Final = 0.5


def load(folder: Path) -> Series:
    """Read ``customers``, ``invoices`` and ``invoice_lines`` (Parquet) of the retail data set."""
    invoices = INVOICES.conform(pl.read_parquet(folder / "invoices.parquet"))
    lines = pl.read_parquet(folder / "invoice_lines.parquet").with_columns(
        pl.col("line_id").cast(pl.String), pl.col("quantity", "unit_price").cast(DECIMAL)
    )
    return Series(
        name="sparse monthly",
        is_simulated=False,
        invoices=invoices,
        lines=INVOICE_LINES.conform(lines),
        customers=CUSTOMERS.conform(pl.read_parquet(folder / "customers.parquet")),
        held_out_from=HELD_OUT_FROM,
        tax_rates=TAX_RATES,
        benign=_observed(invoices),
    )


def _observed(invoices: pl.DataFrame) -> pl.DataFrame:
    """Nobody labelled real invoices: drift is read off the ones before, never off itself."""
    log_total = pl.col("total_minor").clip(1).log()
    before = [log_total.shift(lag).over("customer_id") for lag in range(1, 7)]
    rows = invoices.sort("customer_id", "issued_on").with_columns(
        recent=pl.concat_list(before[:2]).list.drop_nulls().list.mean(),
        earlier=pl.concat_list(before[2:]).list.drop_nulls().list.median(),
        first_on=pl.col("issued_on").min().over("customer_id"),
    )
    drift = rows.filter((pl.col("recent") - pl.col("earlier")).abs() > DRIFTED)
    new = rows.filter(pl.col("issued_on") < pl.col("first_on") + timedelta(days=62))
    return pl.concat(
        frame.select("invoice_id", kind=pl.lit(kind))
        for frame, kind in ((drift, "drift"), (new, "new customer"))
    )
