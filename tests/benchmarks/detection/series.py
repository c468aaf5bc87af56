"""What a benchmark runs on: right invoices in the gate's canonical frames, the odd ones named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import polars as pl

from prebill.core.schemas.inbound import USAGE_EVENTS

#: A list price by product, one mapping a plan.
PriceList = tuple[Mapping[str, Decimal], ...]


@dataclass(frozen=True)
class Series:
    """Right invoices of a company, none of them faulty.

    ``is_simulated`` says whether the invoices are made up. ``meters``: product → meter, for lines
    whose quantity is the sum of the meter's events in the billed period; empty where usage is not
    recorded. ``tax_rates``: tax code → percent. ``price_lists``: currency → plans. ``benign``:
    ``invoice_id, kind``, right though odd; an invoice may have several kinds.
    """

    name: str
    is_simulated: bool
    invoices: pl.DataFrame
    lines: pl.DataFrame
    customers: pl.DataFrame
    held_out_from: date
    tax_rates: Mapping[str, Decimal]
    benign: pl.DataFrame
    events: pl.DataFrame = field(default_factory=USAGE_EVENTS.empty)
    meters: Mapping[str, str] = field(default_factory=dict)
    price_lists: Mapping[str, PriceList] = field(default_factory=dict)

    @property
    def held_out(self) -> pl.DataFrame:
        """Invoices among which faults are planted and which are judged as drafts."""
        return self.invoices.filter(pl.col("issued_on") >= self.held_out_from)
