"""Which tables the lake has and what their rows are. Facts only: rows are added, never changed."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import (
    CREDIT_NOTES,
    DISPUTES,
    INVOICE_LINES,
    INVOICES,
    PAYMENTS,
    USAGE_EVENTS,
)
from prebill.core.schemas.internal import DECISIONS, DRAFT_LINES, USAGE_DAYS
from prebill.core.scoring.shadow import SHADOW_SCORES

#: The batch a row came with; every table has it.
BATCH: Final = "batch_id"
#: How the id of a batch begins that fills empty columns of rows in earlier batches.
COMPLETES: Final = "completes-"
#: UTC month of occurrence, YYYY-MM: a period's scan opens only its own files.
MONTH: Final = "occurred_month"


@dataclass(frozen=True, slots=True)
class LakeTable:
    """A table: the columns that every batch must have; a batch may bring further ones."""

    name: str
    schema: pl.Schema
    #: Instant whose month partitions the table; None: by batch alone.
    month_of: str | None = None
    #: What makes a row the same row in a batch that completes it.
    key: tuple[str, ...] = ()

    @property
    def partitions(self) -> list[str]:
        """Columns that decide in which folder a row lies."""
        return [BATCH, MONTH] if self.month_of else [BATCH]


#: `invoice_id` and one Float64 column for each feature; features come and go between batches.
_FEATURE_ROWS = pl.Schema({"invoice_id": pl.String()})

TABLES: Final[dict[str, LakeTable]] = {
    table.name: table
    for table in (
        LakeTable("usage_events", USAGE_EVENTS.schema, month_of="occurred_at"),
        LakeTable("usage_days", USAGE_DAYS.schema),
        *(
            LakeTable(frame.name, frame.schema, key=frame.key)
            for frame in (INVOICES, INVOICE_LINES, PAYMENTS, CREDIT_NOTES, DISPUTES)
        ),
        LakeTable("draft_lines", DRAFT_LINES.schema),
        LakeTable("feature_rows", _FEATURE_ROWS),
        LakeTable("decisions", DECISIONS.schema),
        LakeTable("shadow_scores", SHADOW_SCORES.schema),
    )
}
