"""Who calls the API: a bearer token names the user. Nothing in path, query or body ever does."""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request

from prebill.api.context import Served
from prebill.core.errors import ForbiddenError, UnauthenticatedError
from prebill.store.users import Actor, Role, authenticate_token

SCHEME: Final = "bearer "


def signed_in(request: Request, served: Served) -> Actor:
    """Return the user for whom the request's token acts.

    Raises
    ------
    UnauthenticatedError
        No token, or one that is unknown, expired or revoked.
    """
    given = request.headers.get("authorization", "")
    if not given.lower().startswith(SCHEME):
        message = "send a token: Authorization: Bearer …; make one with `prebill token create`"
        raise UnauthenticatedError(message)
    with served.store.read() as tx:
        return authenticate_token(tx, given[len(SCHEME) :].strip())


def require(actor: Actor, role: Role) -> Actor:
    """Return the actor if they have at least the role.

    Raises
    ------
    ForbiddenError
        They have a smaller one.
    """
    if actor.role < role:
        needed, present = role.name.lower(), actor.role.name.lower()
        message = f"this needs the role {needed} or above; you are signed in as {present}"
        raise ForbiddenError(message, needed=needed, present=present)
    return actor


def _at_least(role: Role) -> Callable[[Actor], Actor]:
    def check(actor: Annotated[Actor, Depends(signed_in)]) -> Actor:
        return require(actor, role)

    return check


#: The signed-in user, with at least this role.
Reader = Annotated[Actor, Depends(_at_least(Role.VIEWER))]
Decider = Annotated[Actor, Depends(_at_least(Role.REVIEWER))]
Operator = Annotated[Actor, Depends(_at_least(Role.CONTROLLER))]
