"""The pages of policies and the forms they send."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from prebill.api.auth import require
from prebill.api.context import Served, Services
from prebill.api.problems import problem_of
from prebill.console import words
from prebill.console.pages.policies import (
    policies_page,
    policy_form_page,
    policy_href,
    policy_page,
)
from prebill.console.render import render
from prebill.console.sessions import SignedIn, Visitor, check_form
from prebill.core.errors import ConflictError, ForbiddenError, InputError, PrebillError
from prebill.store.configurations import POLICY, Version, find
from prebill.workflows import configuration_life as life
from prebill.workflows.configuration_history import as_csv, as_ndjson, history
from prebill.workflows.configuration_kinds import KINDS
from prebill.workflows.configuration_life import DRAFTS_FROM, Draft, Order, Step

router: Final = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]
Number = Annotated[int, Form()]


@router.get("/policies")
def policies(served: Served, visitor: SignedIn) -> Response:
    """Show every version."""
    with served.store.read() as tx:
        page = policies_page(tx, served.installation, visitor)
    return render(page)


@router.get("/policies/changes.{form}")
def changes(form: str, served: Served, _: SignedIn) -> Response:
    """Send who changed what and when, as a file."""
    forms = {"csv": (as_csv, "text/csv"), "ndjson": (as_ndjson, "application/x-ndjson")}
    if form not in forms:
        message = f"changes.{form} is no form of ours: use {' or '.join(forms)}"
        raise InputError(message)
    written, media_type = forms[form]
    with served.store.read() as tx:
        content = written(history(tx, POLICY))
    name = f'attachment; filename="policy_changes.{form}"'
    return PlainTextResponse(content, headers={"Content-Disposition": name}, media_type=media_type)


@router.get("/policies/new")
def new_policy(served: Served, visitor: SignedIn, number: int | None = None) -> Response:
    """Show the editor with the text in force, or that of a version."""
    require(visitor.actor, DRAFTS_FROM)
    with served.store.read() as tx:
        if number is None:
            now_at = datetime.now(UTC)
            present = life.wording_in_force(served.installation, tx, KINDS[POLICY], now_at)
            content = present.content
        else:
            content = find(tx, POLICY, number).content
    return render(policy_form_page(visitor, content=content))


@router.post("/policies/new")
def enter_policy(
    request: Request,
    served: Served,
    visitor: SignedIn,
    content: Text = "",
    note: Text = "",
    csrf_token: Text = "",
) -> Response:
    """Enter a draft; a wrong text comes back with what is wrong."""
    check_form(request, served, csrf_token)
    try:
        made = life.draft(served.installation, POLICY, Draft(content, note), visitor.actor)
    except ForbiddenError:
        raise
    except PrebillError as error:
        page = policy_form_page(visitor, content=content, note=note, error=error)
        return render(page, problem_of(error).status)
    return _see(made, "saved")


@router.post("/policies/check")
def check_policy(
    request: Request, served: Served, _: SignedIn, content: Text = "", csrf_token: Text = ""
) -> PlainTextResponse:
    """Say what is wrong with a text while it is written; nothing is kept."""
    check_form(request, served, csrf_token)
    try:
        wording = life.checked(POLICY, Draft(content))
    except PrebillError as error:
        return PlainTextResponse(words.sentence(error))
    return PlainTextResponse(f"The text is right: {wording.name} {wording.digest[:12]}.")


@router.get("/policies/{number}")
def policy(number: int, served: Served, visitor: SignedIn, told: str = "") -> Response:
    """Show a version; ``told`` names a notice of a closed list."""
    with served.store.read() as tx:
        page = policy_page(tx, served.installation, visitor, number, told=told)
    return render(page)


@router.get("/policies/{number}/edit")
def edit_form(number: int, served: Served, visitor: SignedIn) -> Response:
    """Show the editor with one's own draft."""
    require(visitor.actor, DRAFTS_FROM)
    with served.store.read() as tx:
        version = find(tx, POLICY, number)
    page = policy_form_page(visitor, content=version.content, note=version.note, version=version)
    return render(page)


@router.post("/policies/{number}/edit")
def edit_policy(
    number: int,
    request: Request,
    served: Served,
    visitor: SignedIn,
    lock_version: Number,
    content: Text = "",
    note: Text = "",
    csrf_token: Text = "",
) -> Response:
    """Change one's own draft; a wrong text, or somebody else's change, comes back in words."""
    check_form(request, served, csrf_token)
    given = Draft(content, note)
    try:
        done = life.edit(
            served.installation, POLICY, number, given, visitor.actor, lock_version=lock_version
        )
    except ForbiddenError:
        raise
    except PrebillError as error:
        with served.store.read() as tx:
            version = find(tx, POLICY, number)
        page = policy_form_page(visitor, content=content, note=note, version=version, error=error)
        return render(page, problem_of(error).status)
    return _see(done, "saved")


@router.post("/policies/{number}/{step}")
def take_step(
    number: int,
    step: Step,
    request: Request,
    served: Served,
    visitor: SignedIn,
    lock_version: Number,
    reason: Text = "",
    live_from: Text = "",
    csrf_token: Text = "",
) -> Response:
    """Take a step; a conflict shows the version as it is now."""
    check_form(request, served, csrf_token)
    try:
        live_from_at = _instant(live_from) if step is Step.ACTIVATE else None
        order = Order(number, step, lock_version, reason, live_from_at)
        done = life.carry_out(served.installation, POLICY, order, visitor.actor)
    except (ConflictError, InputError) as error:
        return _refused(served, visitor, number, error)
    return _see(done, step)


def _see(version: Version, told: str) -> RedirectResponse:
    return RedirectResponse(f"{policy_href(version.number)}?told={told}", 303)


def _refused(served: Services, visitor: Visitor, number: int, error: PrebillError) -> Response:
    problem = words.sentence(error)
    with served.store.read() as tx:
        page = policy_page(tx, served.installation, visitor, number, problem=problem)
    return render(page, problem_of(error).status)


def _instant(text: str) -> datetime | None:
    """Read what a browser's field for date and time sends; it has no zone, the label says UTC."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        message = f"{text!r} is no date and time"
        raise InputError(message) from None
