"""The audit log: search, whether it is intact, links to what an auditor takes along."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from prebill.console import words
from prebill.console.links import case_href, invoice_href
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.triage_views import AuditPage, AuditRow
from prebill.store.audit_log import AuditFilter, sealed_up_to, search_entries
from prebill.store.checks import last_result
from prebill.store.console import names_of
from prebill.store.engine import Tx
from prebill.store.users import Role
from prebill.workflows.alerting import AUDIT

ROWS: Final = 100
_FIELDS: Final = ("object_id", "actor", "action", "since_on", "until_on")
_NOTICES: Final = {"verified": "Verified: the whole log, entry by entry."}


def filter_of(query: Mapping[str, str]) -> AuditFilter:
    """Read the filter of an address."""
    return AuditFilter(**{name: query.get(name, "").strip() for name in _FIELDS})


def audit_page(tx: Tx, visitor: Visitor, query: Mapping[str, str]) -> AuditPage:
    """Read one page of the log."""
    which = filter_of(query)
    before = query.get("before", "")
    rows = search_entries(
        tx, which, before_seq=int(before) if before.isdecimal() else None, limit=ROWS + 1
    )
    names, sealed = names_of(tx), sealed_up_to(tx)
    chosen = {name: getattr(which, name) for name in _FIELDS if getattr(which, name)}
    check, is_intact = _check(tx)
    is_more = len(rows) > ROWS
    older = {**chosen, "before": str(rows[ROWS - 1]["seq"])} if is_more else {}
    told = query.get("told", "")
    return AuditPage(
        title="Audit",
        viewer=viewer_of(visitor),
        notice=_NOTICES.get(told, "") if is_intact else "",
        problem="" if is_intact or told != "verified" else check,
        check=check,
        is_intact=is_intact,
        may_verify=visitor.actor.role >= Role.CONTROLLER,
        **{name: getattr(which, name) for name in _FIELDS},
        rows=tuple(_row(row, names, sealed) for row in rows[:ROWS]),
        evidence_href=f"/audit/evidence?{urlencode({'name': which.object_id})}"
        if which.object_id
        else "",
        csv_href=f"/audit/entries.csv?{urlencode(chosen)}",
        next_href=f"/audit?{urlencode(older)}" if is_more else "",
    )


def _check(tx: Tx) -> tuple[str, bool]:
    """What the last verification found, in words, and whether that was good."""
    found = last_result(tx, AUDIT)
    if found is None:
        return "It was not verified yet; a worker does it daily.", False
    at = words.instant(found["checked_at"])
    if found["problems"]:
        return f"Altered, as of {at}: {found['detail']}", False
    return f"Verified {at}: nothing was altered, deleted or slipped in.", True


def _row(row: dict[str, Any], names: dict[str, str], sealed: dict[str, int]) -> AuditRow:
    return AuditRow(
        seq=f"no. {row['seq']:,}",
        at=words.instant(row["entered_at"]),
        actor=names.get(row["actor"], row["actor"]),
        action=row["action"],
        object_id=row["object_id"],
        object_href=_href(row["object_id"], row["action"]),
        detail="" if row["detail"] == "{}" else row["detail"],
        is_sealed=row["seq"] <= sealed.get(row["stream"], 0),
    )


def _href(object_id: str, action: str) -> str:
    kind = action.partition(".")[0]
    if kind == "case":
        return case_href(object_id)
    if kind == "draft":
        return invoice_href(object_id)
    return f"/documents/{quote(object_id, safe=':')}" if kind == "document" else ""
