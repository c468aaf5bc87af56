"""The page and the forms of delegations and of releases made alone."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from prebill.api.auth import require
from prebill.api.context import Served, Services
from prebill.api.problems import problem_of
from prebill.console import words
from prebill.console.pages.authority import authority_page
from prebill.console.render import render
from prebill.console.sessions import SignedIn, Visitor, check_form
from prebill.core.errors import ConflictError, InputError, NotFoundError
from prebill.store.users import Role
from prebill.workflows import approving

router: Final = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]


@router.get("/authority")
def authority(served: Served, visitor: SignedIn, told: str = "") -> Response:
    """Show who stands in for whom and what was released alone."""
    with served.store.read() as tx:
        page = authority_page(tx, served.installation, visitor, datetime.now(UTC), told=told)
    return render(page)


@router.post("/authority/delegations")
def delegate(
    request: Request,
    served: Served,
    visitor: SignedIn,
    csrf_token: Text = "",
    absent: Text = "",
    stand_in: Text = "",
    from_on: Text = "",
    last_on: Text = "",
    reason: Text = "",
) -> Response:
    """Let a colleague stand in, from one day to another."""
    check_form(request, served, csrf_token)
    actor = require(visitor.actor, Role.REVIEWER)

    def work() -> None:
        approving.delegate(
            served.installation,
            actor,
            stand_in,
            _midnight(from_on),
            _midnight(last_on) + timedelta(days=1),
            reason=reason,
            from_email=absent,
        )

    return _carried_out(served, visitor, work, "delegated")


@router.post("/authority/delegations/{delegation_id}/end")
def end_delegation(
    delegation_id: str, request: Request, served: Served, visitor: SignedIn, csrf_token: Text = ""
) -> Response:
    """End a delegation."""
    check_form(request, served, csrf_token)
    actor = require(visitor.actor, Role.REVIEWER)
    return _carried_out(
        served,
        visitor,
        lambda: approving.end_delegation(served.installation, actor, delegation_id),
        "ended",
    )


@router.post("/authority/glass/{case_id:path}/review")
def review_glass(
    case_id: str,
    request: Request,
    served: Served,
    visitor: SignedIn,
    csrf_token: Text = "",
    review: Text = "",
) -> Response:
    """Say what one found about a release that somebody made alone."""
    check_form(request, served, csrf_token)
    actor = require(visitor.actor, Role.CONTROLLER)
    return _carried_out(
        served,
        visitor,
        lambda: approving.review_glass(served.installation, case_id, actor, review),
        "reviewed",
    )


def _carried_out(
    served: Services, visitor: Visitor, work: Callable[[], object], told: str
) -> Response:
    """Do it, or show the page as it is and why nothing happened."""
    try:
        work()
    except (ConflictError, InputError, NotFoundError) as error:
        problem = words.sentence(error)
        with served.store.read() as tx:
            page = authority_page(
                tx, served.installation, visitor, datetime.now(UTC), problem=problem
            )
        return render(page, problem_of(error).status)
    return RedirectResponse(f"/authority?told={told}", 303)


def _midnight(day: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC)
    except ValueError as error:
        raise InputError("choose the first and the last day") from error
