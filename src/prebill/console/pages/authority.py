"""Delegations, and releases that somebody made alone."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from prebill.bootstrap import Installation
from prebill.console import words
from prebill.console.links import case_href
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.triage_views import AuthorityPage, DelegationRow, GlassRow
from prebill.store import approvals
from prebill.store.engine import Tx
from prebill.store.users import Role
from prebill.workflows import approving

_NOTICES: Final = {
    "delegated": "Delegated.",
    "ended": "The delegation has ended.",
    "reviewed": "Kept with your name.",
}


def authority_page(
    tx: Tx,
    opened: Installation,
    visitor: Visitor,
    now_at: datetime,
    *,
    told: str = "",
    problem: str = "",
) -> AuthorityPage:
    """Read who stands in for whom and what was released alone."""
    actor = visitor.actor
    return AuthorityPage(
        title="Authority",
        viewer=viewer_of(visitor),
        notice=_NOTICES.get(told, ""),
        problem=problem,
        delegations=tuple(
            _delegation(row, visitor) for row in approvals.list_delegations(tx, now_at)
        ),
        for_others=actor.role >= Role.ADMIN,
        glass=tuple(_glass(row, visitor) for row in approvals.unreviewed_glass(tx)),
        may_review=actor.role >= Role.CONTROLLER,
        missing=tuple(approving.nobody_may(tx, opened)),
    )


def _delegation(row: dict[str, Any], visitor: Visitor) -> DelegationRow:
    actor = visitor.actor
    is_mine = row["from_user_id"] == actor.user_id or actor.role >= Role.ADMIN
    to_name, from_name = row["to_name"] or row["to_user_id"], row["from_name"]
    path = f"/authority/delegations/{quote(row['delegation_id'], safe=':')}/end"
    return DelegationRow(
        text=f"{to_name} stands in for {from_name or row['from_user_id']} from "
        f"{words.instant(row['from_at'])} until {words.instant(row['until_at'])}",
        reason=row["reason"],
        end_path=path if is_mine else "",
    )


def _glass(row: dict[str, Any], visitor: Visitor) -> GlassRow:
    is_own = row["entered_by"] == visitor.actor.user_id
    path = f"/authority/glass/{quote(row['case_id'], safe=':')}/review"
    return GlassRow(
        text=f"by {row['name'] or row['entered_by']}, {words.instant(row['entered_at'])}",
        reason=row["reason"],
        case_id=row["case_id"],
        case_href=case_href(row["case_id"]),
        review_path="" if is_own else path,
    )
