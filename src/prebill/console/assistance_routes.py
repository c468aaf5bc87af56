"""The page that tries corrections of a case; it costs seconds, so the case's page asks for it."""

from typing import Final

from fastapi import APIRouter, Response

from prebill.api.auth import require
from prebill.api.context import Served
from prebill.console.assistance import change_page
from prebill.console.render import render
from prebill.console.sessions import SignedIn
from prebill.store.users import Role
from prebill.workflows.smallest_change import smallest_change

router: Final = APIRouter(include_in_schema=False)


@router.get("/cases/{case_id:path}/smallest-change")
def smallest_change_page(case_id: str, served: Served, visitor: SignedIn) -> Response:
    """Show with which change the draft would pass; stores nothing."""
    require(visitor.actor, Role.REVIEWER)
    found = smallest_change(served.installation, case_id)
    with served.store.read() as tx:
        page = change_page(tx, visitor, found)
    return render(page)
