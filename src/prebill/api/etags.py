"""Entity tags: the lock version of what was read, and of what a change must be about."""

from typing import Annotated

from fastapi import Header

from prebill.api.problems import PreconditionFailedError, PreconditionRequiredError

IfMatch = Annotated[str | None, Header()]


def etag(lock_version: int) -> str:
    """The entity tag of a row."""
    return f'"{lock_version}"'


def version_of(if_match: str | None, thing: str) -> int:
    """Read the lock version from If-Match.

    Raises
    ------
    PreconditionRequiredError, PreconditionFailedError
        The header is absent; it is no tag of ours.
    """
    if if_match is None:
        message = f"send If-Match with the ETag of the {thing} that you saw: GET the {thing} first"
        raise PreconditionRequiredError(message)
    version = if_match.strip().strip('"')
    if not version.isdecimal():
        message = f"If-Match {if_match!r} is no ETag of a {thing}"
        raise PreconditionFailedError(message)
    return int(version)
