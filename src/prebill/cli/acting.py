"""Who acts in the terminal: the user of the token in PREBILL_TOKEN, never a parameter."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from prebill.bootstrap import Installation
    from prebill.store.users import Actor

TOKEN_VARIABLE: Final = "PREBILL_TOKEN"

#: Only checks that the token is whose one thinks it is; it never makes anybody someone else.
As = Annotated[
    str | None, typer.Option("--as", help="E-mail of the user whose token PREBILL_TOKEN holds.")
]


def acting_user(opened: "Installation", user: str | None) -> "Actor":
    """Return the user of the token; the name given must be theirs.

    Raises
    ------
    UnauthenticatedError, ForbiddenError
        There is no valid token; it is somebody else's.
    """
    from prebill.core.errors import ForbiddenError, UnauthenticatedError
    from prebill.store.users import authenticate_token

    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        message = f"put your token into {TOKEN_VARIABLE}; make one with `prebill token create`"
        raise UnauthenticatedError(message)
    with opened.store.read() as tx:
        actor = authenticate_token(tx, token)
        email = tx.get("users", user_id=actor.user_id)["email"]
    if user is not None and user.strip().lower() not in {email, actor.user_id}:
        message = f"the token in {TOKEN_VARIABLE} is not {user}'s"
        raise ForbiddenError(message)
    return actor


@contextmanager
def opened_installation() -> "Iterator[Installation]":
    """Open the installation of the environment and close it again."""
    from prebill.bootstrap import Installation
    from prebill.settings import Settings

    opened = Installation.open(Settings.load())
    try:
        yield opened
    finally:
        opened.close()
