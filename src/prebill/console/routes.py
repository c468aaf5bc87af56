"""The pages of the console and the forms they send. Reads go to the store, changes to workflows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from prebill import audit
from prebill.api.auth import require
from prebill.api.context import Served, Services
from prebill.api.decide import Decision, Kind, decide
from prebill.api.handle import Act, Handling, handle
from prebill.api.problems import TooManyAttemptsError, problem_of
from prebill.api.routes.case_handling import file_response
from prebill.console import words
from prebill.console.correction_form import correction_of
from prebill.console.links import case_href, invoice_href
from prebill.console.pages.account import password_page, sign_in_page
from prebill.console.pages.case import Told, also_here, case_page
from prebill.console.pages.invoice import invoice_page
from prebill.console.pages.queue import queue_page
from prebill.console.pages.runs import runs_page
from prebill.console.render import render
from prebill.console.sessions import (
    SignedIn,
    Visitor,
    check_form,
    check_sign_in_form,
    close_session,
    open_session,
    safe_path,
    sign_in_token,
)
from prebill.core.errors import ConflictError, InputError, PrebillError, UnauthenticatedError
from prebill.store.codec import parse_instant
from prebill.store.console import draft_of_document, find_case
from prebill.store.handling import File, file_of
from prebill.store.users import Actor, Role, change_password, get_actor, verify_password
from prebill.workflows import claiming
from prebill.workflows.handling import MAX_FILE

router: Final = APIRouter(include_in_schema=False)

Text = Annotated[str, Form()]


def see_other(path: str) -> RedirectResponse:
    """Answer a form with the page to show next, so that a reload sends nothing twice."""
    return RedirectResponse(path, 303)


@router.get("/")
def start(_: SignedIn) -> Response:
    """Lead to the queue."""
    return see_other("/queue")


@router.get("/sign-in")
def sign_in_form(served: Served, next_path: str = "/queue") -> Response:
    """Show the sign-in form."""
    return render(sign_in_page(sign_in_token(served), next_path=safe_path(next_path)))


@router.post("/sign-in")
def sign_in(
    request: Request,
    served: Served,
    email: Text,
    password: Text,
    form_token: Text = "",
    next_path: Text = "/queue",
) -> Response:
    """Check the password; failures are answered slower and slower, then not at all."""
    target = safe_path(next_path)
    if not check_sign_in_form(request, served, form_token):
        return _again(served, target, email, "The form was too old. Please try again.", 403)
    try:
        actor = _verified(request, served, email, password)
    except (UnauthenticatedError, TooManyAttemptsError) as error:
        status = 401 if isinstance(error, UnauthenticatedError) else 429
        sentence = words.sentence(error)
        return _again(served, target, email, sentence, status)
    response = see_other("/password" if actor.must_change_password else target)
    open_session(response, request, served, actor)
    return response


def _again(served: Served, target: str, email: str, error: str, status: int) -> Response:
    page = sign_in_page(sign_in_token(served), next_path=target, email=email, error=error)
    return render(page, status)


def _verified(request: Request, served: Served, email: str, password: str) -> Actor:
    """Check a password under the throttle; a sign-in is audited."""
    account = email.strip().lower()
    address = request.client.host if request.client else ""
    wait_seconds = served.throttle.wait_seconds(account, address)
    if wait_seconds:
        minutes = -(-wait_seconds // 60)
        message = f"too many failed attempts: wait {minutes} min and try again"
        raise TooManyAttemptsError(message, retry_after_seconds=wait_seconds)
    try:
        with served.store.read() as tx:
            actor = verify_password(tx, email, password)
    except UnauthenticatedError:
        served.throttle.failed(account, address)
        raise
    served.throttle.succeeded(account)
    with served.store.transaction() as tx:
        audit.record(tx, actor.user_id, "user.signed_in", actor.user_id)
    return actor


@router.post("/sign-out")
def sign_out(request: Request, served: Served, _: SignedIn, csrf_token: Text = "") -> Response:
    """End the session."""
    check_form(request, served, csrf_token)
    response = see_other("/sign-in")
    close_session(response)
    return response


@router.get("/password")
def password_form(visitor: SignedIn) -> Response:
    """Show the form for a new password."""
    return render(password_page(visitor))


@router.post("/password")
def set_password(
    request: Request,
    served: Served,
    visitor: SignedIn,
    present: Text,
    new: Text,
    again: Text,
    csrf_token: Text = "",
) -> Response:
    """Change the password; other sessions of the user end with the old one."""
    check_form(request, served, csrf_token)
    actor = visitor.actor
    try:
        if new != again:
            message = "the two new passwords differ"
            raise InputError(message)
        if new == present:
            message = "choose a password other than the present one"
            raise InputError(message)
        with served.store.transaction() as tx:
            verify_password(tx, tx.get("users", user_id=actor.user_id)["email"], present)
            change_password(tx, actor.user_id, new)
            audit.record(tx, actor.user_id, "user.password_changed", actor.user_id)
    except (InputError, UnauthenticatedError) as error:
        sentence = str(error)
        if isinstance(error, UnauthenticatedError):
            sentence = "the present password is wrong"
        return render(password_page(visitor, words.sentence(sentence)), 422)
    with served.store.read() as tx:
        actor = get_actor(tx, actor.user_id)
    response = see_other("/queue?notice=Password+changed.")
    open_session(response, request, served, actor)
    return response


@router.get("/queue")
def queue(request: Request, served: Served, visitor: SignedIn) -> Response:
    """Show the queue."""
    with served.store.read() as tx:
        page = queue_page(tx, visitor, request.query_params, now=datetime.now(UTC))
    return render(page)


@router.post("/queue/next")
def next_case(
    request: Request, served: Served, visitor: SignedIn, csrf_token: Text = ""
) -> Response:
    """Take the case that is worth most of those that nobody else works on."""
    check_form(request, served, csrf_token)
    actor = require(visitor.actor, Role.REVIEWER)
    case_id = claiming.claim_next(served.installation, actor)
    if case_id is None:
        return see_other("/queue?notice=Nothing+waits+that+nobody+else+works+on.")
    return see_other(case_href(case_id))


@router.post("/cases/{case_id:path}/here")
def still_here(
    case_id: str, request: Request, served: Served, visitor: SignedIn, csrf_token: Text = ""
) -> PlainTextResponse:
    """Keep one's own claim; tell who else has the case open."""
    check_form(request, served, csrf_token)
    others = claiming.still_here(served.installation, case_id, visitor.actor.user_id)
    return PlainTextResponse(also_here(others))


#: What a person does about who works on a case.
_CLAIMS: Final = {
    "take": claiming.claim,
    "take-over": claiming.take_over,
    "let-go": claiming.let_go,
}


@router.post("/cases/{case_id:path}/claim/{kind}")
def claim(
    case_id: str,
    kind: Literal["take", "take-over", "let-go"],
    request: Request,
    served: Served,
    visitor: SignedIn,
    csrf_token: Text = "",
) -> Response:
    """Take a case, from nobody or from somebody, or give it back."""
    check_form(request, served, csrf_token)
    actor = require(visitor.actor, Role.REVIEWER)
    try:
        _CLAIMS[kind](served.installation, case_id, actor.user_id)
    except ConflictError as error:
        return _refused(served, visitor, case_id, error)
    return see_other(case_href(case_id))


@router.get("/cases/{case_id:path}/files/{seq}")
def case_file(case_id: str, seq: int, served: Served, _: SignedIn) -> Response:
    """Return the file of a comment, to keep and not to open."""
    with served.store.read() as tx:
        found = file_of(tx, case_id, seq)
    return file_response(found)


@router.post("/cases/{case_id:path}/handle/{act}")
def handle_case(
    case_id: str,
    act: Act,
    request: Request,
    served: Served,
    visitor: SignedIn,
    csrf_token: Text = "",
    text: Text = "",
    of: Text = "",
    until: Text = "",
    file: UploadFile | None = None,
) -> Response:
    """Comment, ask, answer, snooze, wake, escalate or send back; a refusal shows the case."""
    check_form(request, served, csrf_token)
    try:
        asked = Handling(act, case_id, text, _instant(until), of, _file(file))
        handle(served.installation, visitor.actor, asked)
    except (ConflictError, InputError) as error:
        return _refused(served, visitor, case_id, error)
    return see_other(f"{case_href(case_id)}?told={act}")


def _instant(text: str) -> datetime | None:
    try:
        return parse_instant(text) if text else None
    except ValueError as error:
        message = "choose until when it sleeps"
        raise InputError(message) from error


def _file(sent: UploadFile | None) -> File | None:
    """Read what was sent, not more than may be kept; browsers send an empty file for none."""
    if sent is None or not sent.filename:
        return None
    name = PurePath(sent.filename.replace("\\", "/")).name
    return File(name, sent.content_type or "", sent.file.read(MAX_FILE + 1))


@router.get("/cases/{case_id:path}")
def case(case_id: str, served: Served, visitor: SignedIn, told: str = "") -> Response:
    """Show a case; ``told`` names a notice of a closed list."""
    with served.store.read() as tx:
        page = case_page(tx, served.installation, visitor, case_id, Told(notice=told))
    return render(page)


@router.post("/cases/{case_id:path}/{kind}")
async def decide_case(
    case_id: str, kind: Kind, request: Request, served: Served, visitor: SignedIn
) -> Response:
    """Carry out the decision of a case's form; a conflict shows the case as it is now."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    return await run_in_threadpool(_decided, request, served, visitor, Sent(case_id, kind, form))


@dataclass(frozen=True, slots=True)
class Sent:
    """A decision form as it was sent."""

    case_id: str
    kind: Kind
    form: dict[str, str]


def _decided(request: Request, served: Services, visitor: Visitor, sent: Sent) -> Response:
    check_form(request, served, sent.form.get("csrf_token", ""))
    opened = served.installation
    try:
        done = decide(opened, visitor.actor, _decision(served, sent))
    except (ConflictError, InputError) as error:
        return _refused(served, visitor, sent.case_id, error, sent.form.get("reason", ""))
    told_as = {"release": "released", "correct": "corrected", "reject": "rejected"}[sent.kind]
    told_as = "signed" if done.left else told_as
    return see_other(f"{case_href(done.new_case_id or sent.case_id)}?told={told_as}")


def _refused(
    served: Services, visitor: Visitor, case_id: str, error: PrebillError, reason: str = ""
) -> Response:
    """Show the case as it is now, and why nothing happened."""
    problem = words.sentence(error)
    told = Told(problem=problem, reason=reason)
    with served.store.read() as tx:
        page = case_page(tx, served.installation, visitor, case_id, told)
    return render(page, problem_of(error).status)


def _decision(served: Services, sent: Sent) -> Decision:
    form = sent.form
    correction = None
    if sent.kind == "correct":
        with served.store.read() as tx:
            currency = find_case(tx, sent.case_id)["currency"]
        correction = correction_of(form, currency)
    version = form.get("lock_version", "")
    return Decision(
        kind=sent.kind,
        case_id=sent.case_id,
        lock_version=int(version) if version.isdecimal() else -1,
        reason=form.get("reason", ""),
        note=form.get("note", ""),
        correction=correction,
        alone_because=form.get("alone_because", ""),
    )


@router.get("/runs")
def runs(served: Served, visitor: SignedIn) -> Response:
    """Show the latest runs."""
    with served.store.read() as tx:
        page = runs_page(tx, visitor)
    return render(page)


@router.get("/invoices/{draft_id:path}")
def invoice(draft_id: str, served: Served, visitor: SignedIn) -> Response:
    """Show a draft or the document issued from it."""
    with served.store.read() as tx:
        page = invoice_page(tx, visitor, draft_id)
    return render(page)


@router.get("/documents/{document_id:path}")
def document(document_id: str, served: Served, _: SignedIn) -> Response:
    """Lead from a document's number to its page."""
    with served.store.read() as tx:
        draft_id = draft_of_document(tx, document_id)
    return see_other(invoice_href(draft_id))
