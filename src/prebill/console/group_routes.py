"""Pages and forms of cases with one cause."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, BackgroundTasks, Form, Request, Response
from fastapi.responses import RedirectResponse

from prebill.api.auth import require
from prebill.api.context import Served
from prebill.api.problems import problem_of
from prebill.console import words
from prebill.console.links import case_href, group_href
from prebill.console.pages.groups import group_page, groups_page
from prebill.console.render import render
from prebill.console.sessions import SignedIn, check_form
from prebill.core.errors import ConflictError, InputError
from prebill.store.users import Role
from prebill.workflows import grouping
from prebill.workflows.grouping import GroupVerdict

router: Final = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]


@router.get("/groups")
def groups(served: Served, visitor: SignedIn) -> Response:
    """Show every cause that several open cases have."""
    with served.store.read() as tx:
        page = groups_page(tx, visitor, datetime.now(UTC))
    return render(page)


@router.get("/groups/{cause:path}")
def group(cause: str, served: Served, visitor: SignedIn, told: str = "") -> Response:
    """Show one cause."""
    with served.store.read() as tx:
        page = group_page(tx, visitor, cause, told=told)
    return render(page)


@router.post("/groups/{cause:path}/{verdict}")
def decide_group(
    cause: str,
    verdict: GroupVerdict,
    request: Request,
    served: Served,
    visitor: SignedIn,
    background: BackgroundTasks,
    csrf_token: Text = "",
    reason: Text = "",
    note: Text = "",
) -> Response:
    """Decide all cases of a cause that wait; they are carried out after the answer."""
    check_form(request, served, csrf_token)
    actor, opened = require(visitor.actor, Role.REVIEWER), served.installation
    try:
        decision_id = grouping.decide_group(opened, actor, cause, verdict, reason, note)
    except (ConflictError, InputError) as error:
        problem = words.sentence(error)
        with served.store.read() as tx:
            page = group_page(tx, visitor, cause, problem=problem)
        return render(page, problem_of(error).status)
    background.add_task(grouping.carry_on, opened, decision_id)
    return RedirectResponse(f"{group_href(cause)}?told=decided", 303)


@router.post("/cases/{case_id:path}/detach")
def detach(
    case_id: str, request: Request, served: Served, visitor: SignedIn, csrf_token: Text = ""
) -> Response:
    """Let a case stand alone."""
    check_form(request, served, csrf_token)
    actor = require(visitor.actor, Role.REVIEWER)
    grouping.detach(served.installation, case_id, actor.user_id)
    return RedirectResponse(case_href(case_id), 303)
