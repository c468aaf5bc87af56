"""Sessions of the console: a signed cookie names the user; forms carry a token bound to it.

The cookie holds no secret and grants nothing by itself: each request looks the user up again, and a
changed password ends every session that was opened before.
"""

import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from prebill.api.context import Served, Services
from prebill.core.errors import ForbiddenError, UnauthenticatedError
from prebill.store.alerts import open_counts
from prebill.store.console import session_stamp
from prebill.store.users import Actor, get_actor

COOKIE: Final = "prebill_session"
SESSION_SECONDS: Final = 12 * 60 * 60
SIGN_IN_SECONDS: Final = 60 * 60


class PasswordChangeNeededError(ForbiddenError):
    """The one-time password must be changed before anything else."""

    code = "password_change_needed"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in user of the console with the token that their forms must carry."""

    actor: Actor
    csrf_token: str
    open_alerts: int = 0


def _serializer(served: Services, purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(served.secret_key, salt=f"prebill.{purpose}")


def open_session(response: Response, request: Request, served: Services, actor: Actor) -> None:
    """Give the browser a session of the user."""
    with served.store.read() as tx:
        stamp = session_stamp(tx, actor.user_id)
    content = {"user": actor.user_id, "stamp": stamp, "nonce": secrets.token_hex(16)}
    response.set_cookie(
        COOKIE,
        str(_serializer(served, "session").dumps(content)),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )


def close_session(response: Response) -> None:
    """Take the session from the browser."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def visitor(request: Request, served: Served) -> Visitor:
    """Return who is signed in.

    Raises
    ------
    UnauthenticatedError
        Nobody; the edge leads to the sign-in page.
    PasswordChangeNeededError
        The one-time password is still in use; the edge leads to the password page.
    """
    content = _session_content(request, served)
    with served.store.read() as tx:
        actor = get_actor(tx, content["user"])
        is_present = secrets.compare_digest(session_stamp(tx, actor.user_id), content["stamp"])
        open_alerts = sum(open_counts(tx).values())
    if not is_present:
        message = "the password was changed meanwhile: sign in again"
        raise UnauthenticatedError(message)
    if actor.must_change_password and request.url.path not in {"/password", "/sign-out"}:
        message = "change the one-time password first"
        raise PasswordChangeNeededError(message)
    token = str(_serializer(served, "form").dumps(content["nonce"]))
    return Visitor(actor, token, open_alerts)


def _session_content(request: Request, served: Services) -> dict[str, str]:
    cookie = request.cookies.get(COOKIE, "")
    try:
        content: Any = _serializer(served, "session").loads(cookie, max_age=SESSION_SECONDS)
    except BadSignature:
        message = "sign in first"
        raise UnauthenticatedError(message) from None
    return {name: str(content[name]) for name in ("user", "stamp", "nonce")}


SignedIn = Annotated[Visitor, Depends(visitor)]


def check_form(request: Request, served: Services, csrf_token: str) -> None:
    """Accept a form only from a page of this very session.

    Raises
    ------
    ForbiddenError
        The token is absent, forged, of another session, or the form came from another site.
    """
    check_same_origin(request)
    try:
        nonce = _serializer(served, "form").loads(csrf_token, max_age=SESSION_SECONDS)
    except BadSignature:
        nonce = ""
    if not secrets.compare_digest(str(nonce), _session_content(request, served)["nonce"]):
        message = "this form is no longer valid: go back, reload the page and send it again"
        raise ForbiddenError(message)


def check_same_origin(request: Request) -> None:
    """Refuse a form that another site sent; browsers name the origin of every form.

    Raises
    ------
    ForbiddenError
        It came from elsewhere.
    """
    origin = request.headers.get("origin")
    foreign_origin = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    foreign_site = request.headers.get("sec-fetch-site", "same-origin") not in {
        "same-origin",
        "none",
    }
    if foreign_origin or foreign_site:
        message = "the form was sent from another site"
        raise ForbiddenError(message)


def sign_in_token(served: Services) -> str:
    """Make the token of a sign-in form, good for an hour."""
    return str(_serializer(served, "sign-in").dumps(secrets.token_hex(8)))


def check_sign_in_form(request: Request, served: Services, form_token: str) -> bool:
    """Whether a sign-in form was made by us within the hour.

    Raises
    ------
    ForbiddenError
        It came from another site.
    """
    check_same_origin(request)
    try:
        _serializer(served, "sign-in").loads(form_token, max_age=SIGN_IN_SECONDS)
    except BadSignature:
        return False
    return True


def safe_path(path: str) -> str:
    """Return a path of this console to go on to; anything else becomes the queue.

    Examples
    --------
    >>> safe_path("/cases/1"), safe_path("//evil.example"), safe_path("https://evil.example")
    ('/cases/1', '/queue', '/queue')
    """
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path
    return path if is_local else "/queue"


def sign_in_path(request: Request) -> str:
    """Return the sign-in page that leads back to the requested page."""
    if request.method != "GET" or request.url.path == "/":
        return "/sign-in"
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next_path={quote(wanted, safe='')}"
