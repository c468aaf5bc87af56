"""How errors become HTTP: RFC 9457 problem details. The only place that knows status codes.

The console shows the same problems as pages.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from prebill.core import errors

MEDIA_TYPE: Final = "application/problem+json"

#: Status and title by class; the first class that fits counts.
STATUSES: Final[tuple[tuple[type[errors.PrebillError], int, str], ...]] = (
    (errors.UnauthenticatedError, 401, "Sign in first"),
    (errors.ForbiddenError, 403, "Not allowed"),
    (errors.NotFoundError, 404, "Not found"),
    (errors.ConflictError, 409, "Changed meanwhile"),
    (errors.SchemaError, 422, "Wrong columns"),
    (errors.MoneyError, 422, "Wrong amount"),
    (errors.ContractError, 422, "Wrong data contract"),
    (errors.InputError, 422, "Wrong input"),
    (errors.PolicyError, 422, "Wrong policy"),
    (errors.ModelError, 503, "A model can't be used"),
    (errors.StorageError, 503, "Storage is not available"),
    (errors.TransientError, 503, "Try again later"),
    (errors.PermanentError, 502, "An outside system refused"),
)


class PreconditionFailedError(errors.ConflictError):
    """If-Match names another version than the present one."""

    code = "precondition_failed"


class PreconditionRequiredError(errors.InputError):
    """A decision must name the version it saw, in If-Match."""

    code = "precondition_required"


class TooManyAttemptsError(errors.PrebillError):
    """Too many failed sign-ins; ``retry_after_seconds`` is among the facts."""

    code = "too_many_attempts"


class IdempotencyError(errors.InputError):
    """An idempotency key was used again with another body."""

    code = "idempotency_key_reused"


#: Errors of HTTP itself, looked at before ``STATUSES``.
HTTP_STATUSES: Final[tuple[tuple[type[errors.PrebillError], int, str], ...]] = (
    (PreconditionFailedError, 412, "Changed meanwhile"),
    (PreconditionRequiredError, 428, "If-Match is required"),
    (TooManyAttemptsError, 429, "Too many attempts"),
    (IdempotencyError, 422, "Idempotency key used again"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, as RFC 9457 names it; ``code`` is stable, ``detail`` is for people."""

    status: int
    title: str
    detail: str
    code: str
    facts: dict[str, object] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """The members of the problem document; facts are extension members."""
        extra = {name: value for name, value in self.facts.items() if _is_plain(value)}
        return {
            **extra,
            "type": f"urn:prebill:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }

    def headers(self) -> dict[str, str]:
        """Headers that belong to the status."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": 'Bearer realm="prebill"'}
        if "retry_after_seconds" in self.facts:
            return {"Retry-After": str(self.facts["retry_after_seconds"])}
        return {}

    def response(self) -> Response:
        """The problem as a response."""
        return JSONResponse(self.body(), self.status, headers=self.headers(), media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """Map any error; what is not ours becomes a plain 500 that tells nothing of the inside."""
    if isinstance(error, errors.PrebillError):
        for kind, status, title in (*HTTP_STATUSES, *STATUSES):
            if isinstance(error, kind):
                return Problem(status, title, str(error), error.code, error.facts)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return Problem(status, status.phrase, str(error.detail), f"http_{int(status)}")
    detail = "Something unexpected happened. It was logged; please tell your administrator."
    return Problem(500, "Internal error", detail, "internal")


def _invalid(error: RequestValidationError) -> Problem:
    """Say which fields are wrong and never repeat what was sent."""
    found = [
        {"field": ".".join(str(part) for part in one["loc"]), "error": one["msg"]}
        for one in error.errors()
    ]
    detail = "; ".join(f"{one['field']}: {one['error']}" for one in found[:5])
    return Problem(422, "Wrong input", detail, "invalid_request", {"errors": found})


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | list | dict | None)
