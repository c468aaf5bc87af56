"""Rows of the hook for the lake: kept in SQL with the decision, moved in batches.

A request appends nothing to the lake. Training reads the feature rows, comparisons the shadow
scores, simulations the decisions, once they are moved: within ten minutes, or when many wait.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from prebill.bootstrap import Installation
from prebill.core.policy.given import KEPT
from prebill.core.schemas.internal import DECISIONS
from prebill.core.scoring.scene import FEATURE_ROW
from prebill.core.scoring.shadow import SHADOW_SCORES
from prebill.store import hook_rows as sql
from prebill.store.judgements import GATE_RUN
from prebill.store.lake_index import record_batch
from prebill.workflows.ingest_entry import alone

#: Rows move once this many wait, or the oldest waits for this long.
ENOUGH: Final = 2_000
PATIENCE: Final = timedelta(minutes=10)
#: Rows moved at once: bounds memory and the time of the transaction.
MOVE_ROWS: Final = 50_000

#: Feature rows of a run are of one version a draft; the hook judges every version that comes.
_KEY: Final = dict.fromkeys(("invoice_id", "draft_version"), pl.String())
_SCHEMAS: Final[Mapping[str, pl.Schema]] = {
    "feature_rows": pl.Schema({**_KEY, **dict.fromkeys(FEATURE_ROW, pl.Float64())}),
    SHADOW_SCORES.name: pl.Schema(SHADOW_SCORES.schema),
    DECISIONS.name: pl.Schema({**DECISIONS.schema, **KEPT}),
}


def move_due(opened: Installation, now_at: datetime) -> int:
    """Move what waits, if it is enough or waits for long; return how many rows went."""
    with opened.store.read() as tx:
        count, oldest_at = sql.waiting(tx)
    if oldest_at is None or (count < ENOUGH and now_at - oldest_at < PATIENCE):
        return 0
    return move_all(opened)


def move_all(opened: Installation) -> int:
    """Move every row that waits; return how many.

    A batch is written to the lake first; one transaction then names it and drops the rows. Killed
    in between, the next call writes them under another id, and the first batch is swept.
    """
    moved = 0
    with alone(opened.lake):
        while done := _move(opened):
            moved += done
    return moved


def _move(opened: Installation) -> int:
    with opened.store.read() as tx:
        rows = sql.oldest(tx, MOVE_ROWS)
    if rows.is_empty():
        return 0
    batch_id = f"{GATE_RUN}#{rows['seq'][-1]}"
    batches = []
    for name, schema in _SCHEMAS.items():
        texts = rows.filter(pl.col("table_name") == name)["row_json"]
        if len(texts):
            batches.append(opened.lake.append(name, _decoded(texts, schema), batch_id))
    with opened.store.transaction() as tx:
        for batch in batches:
            record_batch(tx, batch)
        sql.drop(tx, rows["seq"])
    return rows.height


def _decoded(texts: pl.Series, schema: pl.Schema) -> pl.DataFrame:
    """Rows from their JSON, in which days and instants are text."""
    dates = [name for name, dtype in schema.items() if dtype.is_temporal()]
    written = pl.Struct({**schema, **dict.fromkeys(dates, pl.String())})
    rows = pl.DataFrame({"row": texts.str.json_decode(written)}).unnest("row")
    return rows.with_columns(
        pl.col(name).str.to_date()
        if schema[name] == pl.Date()
        else pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC")
        for name in dates
    )
