"""What a replay reads of one decision: the decision, its draft, and the batches of its run."""

from dataclasses import dataclass

import polars as pl

from prebill.core.errors import NotFoundError
from prebill.core.schemas.internal import DECISIONS, DRAFTS, FINDINGS
from prebill.store.drafts import lines_of
from prebill.store.engine import Row, Tx
from prebill.store.judgements import GATE_RUN
from prebill.store.lake_index import named_batches

#: Of a decision, beside ``DECISIONS``.
KEPT = ("run_id", "feature_hash", "draft_hash", "decided_at")
_FINDINGS = pl.List(pl.Struct({n: k for n, k in FINDINGS.schema.items() if n != "invoice_id"}))


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """One stored decision; every frame is of its draft only.

    ``draft``: ``DRAFTS``, empty where another engine drafted; ``totals``: ``draft_id,
    total_minor``; ``feature_batches``: of the lake, in which its run, or the hook, put feature
    rows; none where a person's correction was decided on.
    """

    draft_id: str
    draft_version: str
    kept: dict[str, str]
    sample_propensity: float | None
    decision: pl.DataFrame
    findings: pl.DataFrame
    draft: pl.DataFrame
    lines: pl.DataFrame
    totals: pl.DataFrame
    feature_batches: list[str]


def stored_decision(tx: Tx, name: str, version: str | None = None) -> StoredDecision:
    """Read a decision by the id of its draft, case or document; of several versions the last.

    ``version`` may be the beginning of one.

    Raises
    ------
    NotFoundError
        There is no such decision, or what was decided is a gap: nobody drafted anything.
    """
    draft_id = _draft_of(tx, name)
    texts = dict.fromkeys(("draft_id", "draft_version", *KEPT, "findings_json"), pl.String())
    listed = [one for one in DECISIONS.names if one != "invoice_id"]
    found = tx.frame(
        f"SELECT draft_id, draft_version, {', '.join(KEPT)}, findings_json, sample_propensity, "
        f"{', '.join(listed)} FROM decisions WHERE draft_id = :draft_id "
        "AND substr(draft_version, 1, :length) = :version ORDER BY decided_at, draft_version",
        {**texts, "sample_propensity": pl.Float64(), **{n: DECISIONS.schema[n] for n in listed}},
        {"draft_id": draft_id, "version": version or "", "length": len(version or "")},
    ).tail(1)
    if found.is_empty() or draft_id.startswith("gap:"):
        message = f"there is no decision on a draft {name}: give the id of a draft, case or invoice"
        raise NotFoundError(message, name=name)
    row = found.row(0, named=True)
    key = {"draft_id": draft_id, "version": row["draft_version"]}
    draft = tx.table_frame("drafts", "WHERE draft_id = :draft_id AND version = :version", key)
    return StoredDecision(
        draft_id=draft_id,
        draft_version=row["draft_version"],
        kept={name: row[name] for name in KEPT},
        sample_propensity=row["sample_propensity"],
        decision=DECISIONS.conform(found.rename({"draft_id": "invoice_id"})),
        findings=_findings(found),
        draft=DRAFTS.conform(draft.select(DRAFTS.names)),
        lines=lines_of(draft.select("draft_id", "lines_json")),
        totals=_totals(tx, key),
        feature_batches=_feature_batches(tx, row),
    )


def _feature_batches(tx: Tx, row: Row) -> list[str]:
    """None for the version that a person's correction made under a run's id after the run."""
    earlier = tx.scalar(
        "SELECT 1 FROM decisions WHERE draft_id = :draft_id AND run_id = :run_id "
        "AND draft_version <> :draft_version AND decided_at < :decided_at LIMIT 1",
        {name: row[name] for name in ("draft_id", "run_id", "draft_version", "decided_at")},
    )
    if earlier is not None and row["run_id"] != GATE_RUN:
        return []
    named = named_batches(tx, "feature_rows")
    return [one for one in named if one.startswith(f"{row['run_id']}#")]


def _draft_of(tx: Tx, name: str) -> str:
    found = tx.scalar(
        "SELECT draft_id FROM cases WHERE case_id = :name "
        "UNION ALL SELECT draft_id FROM documents WHERE document_id = :name LIMIT 1",
        {"name": name},
    )
    return name if found is None else str(found)


def _findings(found: pl.DataFrame) -> pl.DataFrame:
    rows = found.select(
        invoice_id="draft_id", finding=pl.col("findings_json").str.json_decode(_FINDINGS)
    )
    flat = rows.explode("finding", empty_as_null=False, keep_nulls=False).unnest("finding")
    return FINDINGS.conform(flat)


def _totals(tx: Tx, key: dict[str, object]) -> pl.DataFrame:
    where = "WHERE draft_id = :draft_id AND version = :version"
    return tx.frame(
        f"SELECT draft_id, total_minor FROM drafts {where} "
        f"UNION ALL SELECT draft_id, total_minor FROM engine_drafts {where}",
        {"draft_id": pl.String(), "total_minor": pl.Int64()},
        key,
    )
