"""Store a chunk of a shard in one transaction: versions, decisions, cases, issued documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from prebill import audit
from prebill.core.schemas.internal import DRAFTS
from prebill.store import cases as case_store
from prebill.store import drafts as draft_store
from prebill.store.codec import canonical_json
from prebill.store.engine import Conflict, Tx
from prebill.store.grouping import save_causes
from prebill.workflows.finalize import Issuing, issue
from prebill.workflows.rows import ShardRows
from prebill.workflows.versions import UNJUDGED, WAITING, Fate, fates

WRITTEN = (Fate.NEW.value, Fate.PROMOTE.value, Fate.REJUDGE.value, Fate.REPLACE.value)
_SAME_VERSION = (Fate.PROMOTE.value, Fate.REJUDGE.value)
_NAMES_UNJUDGED = "|".join(f'"code":"{code}"' for code in UNJUDGED)


@dataclass(frozen=True, slots=True)
class Applied:
    """What one transaction did, in numbers."""

    counts: dict[str, int]


def apply_rows(tx: Tx, rows: ShardRows, run_id: str, issuing: Issuing) -> Applied:
    """Store new and changed drafts, leave equal ones alone, issue what is released.

    Safe to repeat: what is stored already is found equal.
    """
    ids = rows.drafts["draft_id"].to_list()
    stored = draft_store.versions_of(tx, ids)
    live = stored.filter(~pl.col("state").is_in(draft_store.ENDED))
    decided = fates(_with_judged(rows.drafts, rows.decisions), _with_judged_before(tx, live))
    written = decided.filter(pl.col("fate").is_in(WRITTEN))
    chosen = rows if written.height == rows.drafts.height else rows.only(written)
    _supersede(tx, decided, run_id, issuing.actor)
    _store(tx, chosen, written, issuing.actor, is_fresh=stored.is_empty())
    released = chosen.drafts.filter(pl.col("state") == "issued")
    issue(tx, released.select(DRAFTS.names), chosen.postings, issuing)
    _propose_adjustments(tx, decided, rows.drafts, run_id, issuing.actor)
    _store_gaps(tx, rows, issuing.actor)
    states = chosen.drafts["state"].value_counts().iter_rows()
    fated = decided["fate"].value_counts().iter_rows()
    return Applied(
        {
            **{f"drafts_{state}": count for state, count in states},
            **{f"fate_{fate}": count for fate, count in fated},
            "gaps": rows.gap_cases.height,
        }
    )


def _with_judged(drafts: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    judged = decisions.select(
        "draft_id", is_judged=~pl.col("reasons").str.contains(_NAMES_UNJUDGED)
    )
    return drafts.join(judged, on="draft_id", how="left", maintain_order="left").with_columns(
        pl.col("is_judged").fill_null(value=True)
    )


def _with_judged_before(tx: Tx, live: pl.DataFrame) -> pl.DataFrame:
    waiting = live.filter(pl.col("state").is_in(WAITING))
    if waiting.is_empty():
        return live.with_columns(is_judged=pl.lit(value=True))
    return _with_judged(live, draft_store.reasons_of(tx, waiting["draft_id"].to_list()))


def lapse_absent(
    tx: Tx, live: pl.DataFrame, produced: Sequence[str], run_id: str, actor: str
) -> int:
    """Take out live drafts of the shard that the inputs no longer give; return how many.

    An issued one stays: giving it back is only proposed.
    """
    absent = live.filter(~pl.col("draft_id").is_in(list(produced)))
    issued = absent.filter(pl.col("state") == "issued")
    if not issued.is_empty():
        proposed = issued.with_columns(
            fate=pl.lit(Fate.ADJUST.value),
            stored_minor=pl.col("total_minor"),
        )
        none = issued.select("draft_id", total_minor=pl.lit(0, dtype=pl.Int64))
        _propose_adjustments(tx, proposed, none, run_id, actor)
    gone = absent.filter(~pl.col("state").is_in(["issued", "rejected"]))
    _retire(tx, gone.rename({"state": "from_state"}), "lapsed", actor, run_id)
    return gone.height


def lapse_filled_gaps(tx: Tx, open_gaps: pl.DataFrame, still: pl.DataFrame, actor: str) -> int:
    """Close the cases of missing invoices that are missing no more; return how many."""
    filled = open_gaps.join(still.select("case_id"), on="case_id", how="anti")
    _lapse_cases(tx, filled, actor, {"kind": "gap"})
    return filled.height


def _lapse_cases(tx: Tx, cases: pl.DataFrame, actor: str, detail: dict[str, object]) -> None:
    if cases.is_empty():
        return
    case_store.lapse_cases(tx, cases["case_id"].to_list(), actor)
    lapsed = cases.select(object_id="case_id", from_state=pl.lit("open"), to_state=pl.lit("lapsed"))
    draft_store.changed(tx, "case", lapsed, entered_by=actor)
    _audit(tx, cases.select(object_id="case_id"), "case.lapsed", actor, detail)


def _supersede(tx: Tx, decided: pl.DataFrame, run_id: str, actor: str) -> None:
    replaced = decided.filter(pl.col("fate") == Fate.REPLACE.value)
    _retire(tx, replaced, "superseded", actor, run_id)
    rejudged = decided.filter(pl.col("fate") == Fate.REJUDGE.value)["draft_id"].to_list()
    if rejudged:
        detail: dict[str, object] = {"run_id": run_id, "why": "judged again"}
        _lapse_cases(tx, case_store.open_cases(tx, rejudged), actor, detail)


def _retire(tx: Tx, drafts: pl.DataFrame, state: str, actor: str, run_id: str) -> None:
    """End live versions together with their open cases."""
    if drafts.is_empty():
        return
    ids = drafts["draft_id"].to_list()
    _lapse_cases(tx, case_store.open_cases(tx, ids), actor, {"run_id": run_id})
    draft_store.retire(tx, ids, state)
    changes = drafts.select("from_state", object_id="draft_id", to_state=pl.lit(state))
    draft_store.changed(tx, "draft", changes, entered_by=actor)
    _audit(tx, drafts.select(object_id="draft_id"), f"draft.{state}", actor, {"run_id": run_id})


def _store(tx: Tx, rows: ShardRows, written: pl.DataFrame, actor: str, *, is_fresh: bool) -> None:
    """Insert drafts, decisions and cases; a version that comes back replaces its old row."""
    if rows.drafts.is_empty():
        return
    conflict: Conflict = "raise" if is_fresh else "replace"
    tx.insert_frame("drafts", rows.drafts, on_conflict=conflict)
    tx.insert_frame("decisions", rows.decisions, on_conflict=conflict)
    tx.insert_frame("cases", rows.cases.drop("cause"), on_conflict=conflict)
    save_causes(tx, rows.cases.filter(pl.col("cause").is_not_null()).select("case_id", "cause"))
    before = written.select("draft_id", "from_state", "fate").with_columns(
        from_state=pl.when(pl.col("fate").is_in(_SAME_VERSION)).then("from_state")
    )
    changes = rows.drafts.select("draft_id", to_state="state").join(before, on="draft_id")
    draft_store.changed(tx, "draft", changes.rename({"draft_id": "object_id"}), entered_by=actor)
    opened = rows.cases.select(
        object_id="case_id",
        from_state=pl.lit(None, dtype=pl.String),
        to_state=pl.lit("open"),
    )
    draft_store.changed(tx, "case", opened, entered_by=actor)
    detail = pl.struct("version", "state", "total_minor", "currency", "run_id")
    audit.record_many(
        tx,
        rows.drafts.select(
            pl.lit(actor).alias("actor"),
            pl.lit("draft.stored").alias("action"),
            pl.col("draft_id").alias("object_id"),
            detail.struct.json_encode().alias("detail"),
        ),
    )


def _propose_adjustments(
    tx: Tx, decided: pl.DataFrame, drafts: pl.DataFrame, run_id: str, actor: str
) -> None:
    """Write down what an issued document would be today; the document itself stays."""
    differing = decided.filter(pl.col("fate") == Fate.ADJUST.value).select(
        "draft_id", issued_minor="stored_minor"
    )
    if differing.is_empty():
        return
    rows = differing.join(drafts.select("draft_id", now_minor="total_minor"), on="draft_id")
    detail = pl.struct(
        "issued_minor",
        "now_minor",
        difference_minor=pl.col("now_minor") - pl.col("issued_minor"),
        run_id=pl.lit(run_id),
    )
    audit.record_many(
        tx,
        rows.select(
            pl.lit(actor).alias("actor"),
            pl.lit("adjustment.proposed").alias("action"),
            pl.col("draft_id").alias("object_id"),
            detail.struct.json_encode().alias("detail"),
        ),
    )


def _store_gaps(tx: Tx, rows: ShardRows, actor: str) -> None:
    """Open a case for each missing invoice; one that a person answered is not asked again."""
    if rows.gap_cases.is_empty():
        return
    tx.insert_frame("decisions", rows.gap_decisions, on_conflict="ignore")
    tx.insert_frame("cases", rows.gap_cases, on_conflict="ignore")
    _audit(tx, rows.gap_cases.select(object_id="case_id"), "case.opened", actor, {"kind": "gap"})


def _audit(
    tx: Tx, objects: pl.DataFrame, action: str, actor: str, detail: dict[str, object]
) -> None:
    audit.record_many(
        tx,
        objects.select(
            pl.lit(actor).alias("actor"),
            pl.lit(action).alias("action"),
            "object_id",
            pl.lit(canonical_json(detail)).alias("detail"),
        ),
    )
