"""The page of alerts and the form it sends."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from prebill.api.auth import require
from prebill.api.context import Served
from prebill.api.problems import problem_of
from prebill.console import words
from prebill.console.pages.alerts import alerts_page
from prebill.console.render import render
from prebill.console.sessions import SignedIn, check_form
from prebill.core.errors import ConflictError
from prebill.store.users import Role
from prebill.workflows.alert_life import acknowledge

router: Final = APIRouter(include_in_schema=False)


@router.get("/alerts")
def alerts(served: Served, visitor: SignedIn) -> Response:
    """Show the open alerts and the latest that are over."""
    with served.store.read() as tx:
        page = alerts_page(tx, visitor)
    return render(page)


@router.post("/alerts/{alert_id}/acknowledge")
def acknowledge_alert(
    alert_id: int,
    request: Request,
    served: Served,
    visitor: SignedIn,
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Look after an alert; where somebody does already, show the page and say so."""
    check_form(request, served, csrf_token)
    actor = require(visitor.actor, Role.REVIEWER)
    try:
        acknowledge(served.installation, alert_id, actor.user_id, datetime.now(UTC))
    except ConflictError as error:
        problem = words.sentence(error)
        with served.store.read() as tx:
            page = alerts_page(tx, visitor, problem)
        return render(page, problem_of(error).status)
    return RedirectResponse("/alerts", 303)
