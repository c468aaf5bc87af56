"""The audit log over HTTP: search, and what is kept about a draft with proofs."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from prebill.api.auth import Reader
from prebill.api.context import Served
from prebill.store.audit_log import AuditFilter, search_entries
from prebill.workflows.evidence import evidence_of

router: Final = APIRouter(prefix="/v1", tags=["audit"])


class EntryBody(BaseModel):
    """One entry; ``detail`` is JSON text, as it was hashed."""

    seq: int
    stream: str
    entered_at: str
    actor: str
    action: str
    object_id: str
    detail: str
    hash: str


class SearchQuery(BaseModel):
    """Which entries; what is left out means all. ``before``: the ``seq`` of the last one seen."""

    object_id: str = ""
    actor: str = ""
    #: An action, or its beginning: ``case`` finds ``case.released``.
    action: str = ""
    stream: str = ""
    since_on: str = ""
    until_on: str = ""
    before: int | None = None
    limit: int = Field(100, ge=1, le=1000)


@router.get("/audit-entries")
def get_entries(
    served: Served, _: Reader, asked: Annotated[SearchQuery, Query()]
) -> list[EntryBody]:
    """List entries, the newest first."""
    which = AuditFilter(**asked.model_dump(exclude={"before", "limit"}))
    with served.store.read() as tx:
        rows = search_entries(tx, which, before_seq=asked.before, limit=asked.limit)
    return [EntryBody(**row) for row in rows]


@router.get("/evidence/{name:path}")
def get_evidence(name: str, served: Served, _: Reader) -> dict[str, Any]:
    """Return everything that is kept about a draft, by its id, its case's or its document's."""
    return evidence_of(served.store, name)
