"""What every way in shares: one at a time, names made from content, quarantine rows."""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import polars as pl

from prebill import audit
from prebill.connectors.files.reader import READING_RULES, rows_of_json
from prebill.contracts import DataContract
from prebill.contracts.casting import TYPE_TEXTS
from prebill.core.schemas.inbound import USAGE_EVENTS
from prebill.lake import COMPLETES, Lake, LakeBatch
from prebill.store import checks
from prebill.store import ingest as sql
from prebill.store.engine import Store, Tx
from prebill.store.lake_index import record_batch
from prebill.store.reference import LAKE_FRAMES
from prebill.workflows.ingest_checks import KEY_RULES, Judged

#: A good row with the same key mends every other rule, but not a contradiction between two rows.
_NOT_MENDED_BY_KEY: Final = ("same_id_other_content", "changed_version")
_SHOWN_IDS: Final = 100
_MEND: Final = "Mend the row and import its file again, or dismiss it with a reason"
#: What to do where mending the row is not the first thing to think of.
_WAYS: Final = {
    "not_from_future": "Check the sender's clock; if the event is right, run `prebill quarantine "
    "retry` once its time has come, else mend or dismiss it",
    "quantity_plausible": "Check the unit; if the quantity is right, raise max_quantity of the "
    "meter and run `prebill quarantine retry`, else mend or dismiss the row",
    "not_before_contract": "If the contract began earlier, import its new version and run "
    "`prebill quarantine retry`, else mend or dismiss the row",
    "period_open": "The month is closed: bill it as an event of an open month under a new id, or "
    "reopen the period and run `prebill quarantine retry`, or dismiss it with a reason",
    "same_id_other_content": "Then run `prebill quarantine dismiss` with the reason",
    "tiers_contiguous": "Mend the tiers, import the file again: the old prices stay until then",
    "no_overlap": "End the earlier one by a new version, then `prebill quarantine retry`, or mend "
    "the dates and import the file again",
}


def now() -> datetime:
    """Return the present instant: when something was entered, whatever the import's clock says."""
    return datetime.now(UTC)


@contextmanager
def alone(lake: Lake) -> Iterator[None]:
    """Let one import work at a time: two could both find an event absent and add it."""
    lake.folder.mkdir(parents=True, exist_ok=True)
    with (lake.folder / ".import.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def batch_id_of(origin: str, rows: pl.DataFrame) -> str:
    """Name a batch by its content: after a crash the same rows come under the same id.

    polars keeps its hashes within a version. Another version gives another id, and the batch that
    nobody named is swept.
    """
    hashes = rows.hash_rows(seed=0).to_numpy()
    return f"{origin[:12]}-{hashlib.sha256(hashes.tobytes()).hexdigest()[:20]}"


def append_facts(
    lake: Lake, contract: DataContract, judged: Judged, origin: str
) -> list[LakeBatch]:
    """Write new facts, and what completes known ones, to the lake; the caller names the batches."""
    if contract.name not in LAKE_FRAMES:
        return []
    parts = (("", judged.entering.drop("row")), (COMPLETES, judged.completing.drop("row")))
    return [
        lake.append(contract.name, rows, prefix + batch_id_of(origin, rows))
        for prefix, rows in parts
        if not rows.is_empty()
    ]


def record_facts(
    tx: Tx, contract: DataContract, judged: Judged, batches: list[LakeBatch], *, actor: str
) -> None:
    """Name the batches, and audit which known facts were completed; the lake has the values."""
    for batch in batches:
        record_batch(tx, batch)
    if contract.name == USAGE_EVENTS.name and not judged.entering.is_empty():
        checks.heard(tx, judged.entering["source"].unique().to_list(), now())
    if not judged.completing.is_empty():
        keys = judged.completing.select(
            pl.concat_str(pl.col(contract.key).cast(pl.String), separator="/")
        ).to_series()
        audit.record(tx, actor, "facts.completed", contract.name, shown_ids(keys.to_list()))


class Occurrences:
    """Counts equal bad rows over the blocks of a file, so that each keeps an entry of its own."""

    def __init__(self) -> None:
        self._counts = pl.DataFrame(schema={"content": pl.UInt64(), "before": pl.UInt32()})

    def number(self, texts: pl.Series) -> pl.Series:
        """Return for each row how many equal ones came before it in the file."""
        rows = pl.DataFrame({"content": texts.hash()}).with_columns(
            within=pl.int_range(pl.len(), dtype=pl.UInt32).over("content")
        )
        joined = rows.join(self._counts, on="content", how="left", maintain_order="left")
        added = rows.group_by("content").agg(before=pl.len())
        every = pl.concat([self._counts, added]).group_by("content").agg(pl.col("before").sum())
        self._counts = every.cast({"before": pl.UInt32})
        return joined.select(pl.col("within") + pl.col("before").fill_null(0)).to_series()


def quarantine_rows(
    rows: pl.DataFrame,
    *,
    contract: str,
    file: str,
    import_id: str,
    occurrences: Occurrences | None = None,
) -> pl.DataFrame:
    """Turn bad rows (line, rule, column_name, value, row_json) into rows of the quarantine.

    The id is made from contract and content, so that importing a bad row again adds nothing;
    equal rows of one file are told apart by a number.
    """
    numbers = (occurrences or Occurrences()).number(rows["row_json"]).cast(pl.String)
    contents = rows.select(
        pl.concat_str([pl.lit(contract), numbers, "row_json"], separator="\n")
    ).to_series()
    # SHA-256 has no columnar form; a million bad rows cost about a second here.
    ids = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in contents]
    return rows.select(
        pl.Series("quarantine_id", ids, dtype=pl.String),
        pl.lit(import_id).alias("import_id"),
        pl.lit(contract).alias("contract"),
        pl.lit(file).alias("file"),
        *("line", "rule", "column_name"),
        # PostgreSQL keeps no NUL in a text; the row as JSON has it escaped.
        pl.col("value").str.replace_all("\x00", "\\0", literal=True),
        "row_json",
        pl.lit("open").alias("status"),
        pl.lit(now()).dt.cast_time_unit("us").alias("entered_at"),
        pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("resolved_at"),
    ).sort("quarantine_id")  # in the order of the key: a million rows go in twice as fast


def resolved_by(
    store: Store, contract: DataContract, good: pl.DataFrame, bad: pl.DataFrame
) -> list[str]:
    """Return the open quarantine rows that good rows with the same key have mended."""
    if good.is_empty():
        return []
    with store.read() as tx:
        waiting = sql.open_texts(tx, contract.name)
    waiting = waiting.filter(~pl.col("rule").is_in(_NOT_MENDED_BY_KEY))
    waiting = waiting.join(bad.select("quarantine_id"), on="quarantine_id", how="anti")
    if waiting.is_empty():
        return []
    keys, completable = list(contract.key), contract.completable
    named = pl.concat(
        [
            waiting.select("quarantine_id"),
            rows_of_json(waiting["row_json"], [*keys, *completable]),
        ],
        how="horizontal",
    )
    # Keys are compared typed: "1.0" and "1.000000000000" are one quantity.
    types = {name: good.schema[name] for name in keys}
    typed = named.with_columns(_typed(name, dtype) for name, dtype in types.items())
    met = typed.join(good.select(*keys, *completable), on=keys, how="inner", suffix="_good")
    # A fact that came in without what the waiting row would complete does not stand for it.
    says_more = [
        (pl.col(name).fill_null("") != "") & pl.col(f"{name}_good").is_null()
        for name in completable
    ]
    mended = met.remove(pl.any_horizontal(says_more)) if says_more else met
    return mended["quarantine_id"].unique().to_list()


def _typed(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    return column.cast(dtype, strict=False)


def advice(contract: DataContract, rule: str, column: str | None) -> str:
    """Say what a rule asks for and what to do about a row that breaks it."""
    name = column or "the row"
    if reference := next((one for one in contract.references if one.id == rule), None):
        missing = reference.contract
        return (
            f"{reference.text}. Import the missing row of {missing} and run `prebill quarantine "
            "retry`, or mend this row and import its file again."
        )
    known = {**READING_RULES, **KEY_RULES, "required": f"{name} must not be empty"}
    asked = contract.rule_text(rule, column) or known.get(rule) or _type_text(rule, name)
    return f"{asked}. {_WAYS.get(rule, _MEND)}."


def _type_text(rule: str, name: str) -> str:
    return f"{name} must be {TYPE_TEXTS.get(rule, 'as its data contract says')}"


def shown_ids(ids: list[str]) -> dict[str, object]:
    """Return what an audit entry keeps of many ids: how many, and the first ones."""
    return {"count": len(ids), "ids": ids[:_SHOWN_IDS]}
