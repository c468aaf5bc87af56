"""Everything that is kept about one draft, with proof that its audit entries are those sealed then.

One JSON document that an auditor can check without this program: each audit entry's hash follows
from its text, its place in a seal from the path beside it, the seal's head from its fields, and the
heads stand in the file that was exported outside the database.
"""

from typing import Any, Final

from prebill import audit
from prebill.core.errors import NotFoundError
from prebill.store import audit_log
from prebill.store.engine import Row, Store, Tx

#: Table → condition on the draft; what people wrote (``case_notes``) is named, not repeated.
_TABLES: Final = {
    "drafts": "draft_id = :id",
    "engine_drafts": "draft_id = :id",
    "decisions": "draft_id = :id",
    "cases": "draft_id = :id",
    "verdicts": "draft_id = :id",
    "signatures": "draft_id = :id",
    "labels": "draft_id = :id",
    "documents": "draft_id = :id",
    "journal_entries": "document_id IN (SELECT document_id FROM documents WHERE draft_id = :id)",
    "outbox": "draft_id = :id OR document_id IN "
    "(SELECT document_id FROM documents WHERE draft_id = :id)",
}


def evidence_of(store: Store, name: str) -> dict[str, Any]:
    """Gather what is kept about a draft, named by its own id, its case's or its document's.

    Raises
    ------
    NotFoundError
        Nothing is kept under that name.
    """
    with store.read() as tx:
        draft_id = _draft_of(tx, name)
        kept = {
            table: tx.rows(f"SELECT * FROM {table} WHERE {where}", {"id": draft_id})
            for table, where in _TABLES.items()
        }
        if not any(kept.values()):
            message = f"nothing is kept under {name}: give the id of a draft, case or document"
            raise NotFoundError(message, name=name)
        ids = [draft_id, *_ids(kept, "cases", "case_id"), *_ids(kept, "documents", "document_id")]
        notes = _notes(tx, _ids(kept, "cases", "case_id"))
        entries = audit_log.entries_about(tx, ids)
        proofs = audit.proofs(tx, entries)
    return {
        "draft_id": draft_id,
        "kept": kept,
        "notes": notes,
        "audit": [{**entry, "proof": proofs.get(entry["seq"])} for entry in entries],
    }


def _draft_of(tx: Tx, name: str) -> str:
    found = tx.scalar(
        "SELECT draft_id FROM cases WHERE case_id = :name "
        "UNION ALL SELECT draft_id FROM documents WHERE document_id = :name LIMIT 1",
        {"name": name},
    )
    return name if found is None else str(found)


def _ids(kept: dict[str, list[Row]], table: str, column: str) -> list[str]:
    return [str(row[column]) for row in kept[table]]


def _notes(tx: Tx, case_ids: list[str]) -> list[Row]:
    """Who said something when; the words are personal data and stay where they can be erased."""
    listed = tx.listed(case_ids)
    return tx.rows(
        "SELECT seq, case_id, kind, file_digest, entered_at, entered_by FROM case_notes "
        f"WHERE case_id IN ({listed.sql}) ORDER BY seq",
        listed.values,
    )
