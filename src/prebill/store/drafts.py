"""Drafts with their decisions: what is alive, new versions, changes of state."""

from collections.abc import Sequence

import polars as pl

from prebill.core.schemas.internal import DRAFT_LINES
from prebill.store.codec import canonical_json, encode, now_text
from prebill.store.engine import Row, Tx

ENDED = ("superseded", "lapsed")
ALIVE = "state NOT IN ('superseded', 'lapsed')"

#: Lines as they stand in ``lines_json``: decimals and dates as text.
_LINE_FIELDS = [name for name in DRAFT_LINES.names if name != "draft_id"]
_LINE_JSON = pl.List(
    pl.Struct(
        {
            name: pl.Int64() if dtype == pl.Int64 else pl.String()
            for name, dtype in DRAFT_LINES.schema.items()
            if name != "draft_id"
        }
    )
)


def lines_json(lines: pl.DataFrame) -> pl.DataFrame:
    """Write the lines of each draft as one JSON list: columns ``draft_id``, ``lines_json``."""
    text = encode(lines.select(DRAFT_LINES.names)).with_columns(
        place=pl.col("line_id").cast(pl.Int64)
    )
    rows = text.sort("draft_id", "place").select(
        "draft_id", row=pl.struct(_LINE_FIELDS).struct.json_encode()
    )
    joined = rows.group_by("draft_id", maintain_order=True).agg(pl.col("row").str.join(","))
    return joined.select("draft_id", lines_json=pl.format("[{}]", "row"))


def lines_of(drafts: pl.DataFrame) -> pl.DataFrame:
    """Read DRAFT_LINES back from the columns ``draft_id`` and ``lines_json``."""
    if drafts.is_empty():
        return DRAFT_LINES.empty()
    rows = drafts.select("draft_id", line=pl.col("lines_json").str.json_decode(_LINE_JSON))
    flat = rows.explode("line", empty_as_null=False, keep_nulls=False).unnest("line")
    return flat.select(
        pl.col(name).str.to_date() if dtype == pl.Date else pl.col(name).cast(dtype)
        for name, dtype in DRAFT_LINES.schema.items()
    )


def listed(tx: Tx, name: str) -> str:
    """SQL for the texts of a JSON list given as parameter ``name``: any number of them."""
    if tx.is_sqlite:
        return f"(SELECT value FROM json_each(:{name}))"
    return f"(SELECT jsonb_array_elements_text(CAST(:{name} AS jsonb)))"


def versions_of(tx: Tx, draft_ids: Sequence[str]) -> pl.DataFrame:
    """Return ``draft_id, version, state, total_minor`` of all versions of these drafts."""
    return tx.table_frame(
        "drafts",
        f"WHERE draft_id IN {listed(tx, 'ids')} ORDER BY draft_id, version",
        {"ids": canonical_json(list(draft_ids))},
        columns=["draft_id", "version", "state", "total_minor"],
    )


def reasons_of(tx: Tx, draft_ids: Sequence[str]) -> pl.DataFrame:
    """Return ``draft_id, reasons`` of the live versions of these drafts."""
    return tx.frame(
        "SELECT d.draft_id, c.reasons FROM drafts d JOIN decisions c "
        "ON c.draft_id = d.draft_id AND c.draft_version = d.version "
        f"WHERE d.draft_id IN {listed(tx, 'ids')} AND d.{ALIVE} ORDER BY d.draft_id",
        {"draft_id": pl.String(), "reasons": pl.String()},
        {"ids": canonical_json(list(draft_ids))},
    )


def live_drafts_of(tx: Tx, period: str, first: str, last: str) -> pl.DataFrame:
    """Return the live drafts of a period whose customers lie in a range."""
    return tx.table_frame(
        "drafts",
        f"WHERE customer_id BETWEEN :first AND :last AND period = :period AND {ALIVE} "
        "ORDER BY draft_id",
        {"period": period, "first": first, "last": last},
        columns=["draft_id", "version", "state", "customer_id", "entity_id", "total_minor"],
    )


def retire(tx: Tx, draft_ids: Sequence[str], state: str) -> None:
    """Take the live, unissued versions of these drafts out: superseded, or lapsed."""
    tx.execute(
        f"UPDATE drafts SET state = :state WHERE draft_id IN {listed(tx, 'ids')} "
        f"AND {ALIVE} AND state <> 'issued'",
        {"state": state, "ids": canonical_json(list(draft_ids))},
    )


def set_state(tx: Tx, draft_ids: Sequence[str], state: str) -> None:
    """Set the state of the live versions of these drafts."""
    tx.execute(
        f"UPDATE drafts SET state = :state WHERE draft_id IN {listed(tx, 'ids')} AND {ALIVE}",
        {"state": state, "ids": canonical_json(list(draft_ids))},
    )


def changed(tx: Tx, object_type: str, changes: pl.DataFrame, *, entered_by: str) -> None:
    """Record changes of state: columns ``object_id``, ``from_state`` (or null), ``to_state``."""
    rows = changes.select(
        pl.lit(object_type).alias("object_type"),
        "object_id",
        pl.col("from_state").cast(pl.String),
        "to_state",
        pl.lit(now_text()).alias("entered_at"),
        pl.lit(entered_by).alias("entered_by"),
    )
    tx.insert_frame("state_changes", rows)


def one_changed(
    tx: Tx, object_type: str, object_id: str, *, change: tuple[str | None, str], entered_by: str
) -> None:
    """Record one change of state, from and to."""
    row = {
        "object_type": object_type,
        "object_id": object_id,
        "from_state": change[0],
        "to_state": change[1],
        "entered_at": now_text(),
        "entered_by": entered_by,
    }
    tx.insert("state_changes", row)


def live_draft(tx: Tx, draft_id: str) -> Row | None:
    """Return the live version of a draft, or None."""
    return tx.first(
        f"SELECT * FROM drafts WHERE draft_id = :draft_id AND {ALIVE}", {"draft_id": draft_id}
    )
