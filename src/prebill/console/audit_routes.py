"""The page of the audit log, its entries as CSV, evidence packs, verification on demand."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from prebill import audit
from prebill.api.auth import require
from prebill.api.context import Served
from prebill.console.pages.audit import audit_page, filter_of
from prebill.console.render import render
from prebill.console.sessions import SignedIn, check_form
from prebill.store.audit_log import search_entries
from prebill.store.users import Role
from prebill.workflows.alerting import record_audit
from prebill.workflows.evidence import evidence_of

router: Final = APIRouter(include_in_schema=False)

#: Entries of one file.
MOST_ROWS: Final = 100_000
_COLUMNS: Final = ("seq", "stream", "entered_at", "actor", "action", "object_id", "detail", "hash")


@router.get("/audit")
def show(request: Request, served: Served, visitor: SignedIn) -> Response:
    """Show the log."""
    with served.store.read() as tx:
        page = audit_page(tx, visitor, request.query_params)
    return render(page)


@router.get("/audit/entries.csv")
def entries(request: Request, served: Served, _: SignedIn) -> Response:
    """Return the entries of a search as CSV, the newest first."""
    with served.store.read() as tx:
        rows = search_entries(tx, filter_of(request.query_params), limit=MOST_ROWS)
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return _file(text.getvalue(), "text/csv; charset=utf-8", "audit_entries.csv")


@router.get("/audit/evidence")
def evidence(name: str, served: Served, _: SignedIn) -> Response:
    """Return everything that is kept about a draft, with the proofs of its audit entries."""
    found = json.dumps(evidence_of(served.store, name), indent=1, ensure_ascii=False)
    return _file(found, "application/json", f"evidence {name}.json")


@router.post("/audit/verify")
def verify(
    request: Request,
    served: Served,
    visitor: SignedIn,
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Check the whole log now, and remember what was found."""
    check_form(request, served, csrf_token)
    require(visitor.actor, Role.CONTROLLER)
    seen = audit.verify(served.store, served.installation.settings.audit_heads_path)
    with served.store.transaction() as tx:
        record_audit(tx, seen, datetime.now(UTC))
    return RedirectResponse("/audit?told=verified", 303)


def _file(content: str, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(content, media_type=media_type, headers=headers)
