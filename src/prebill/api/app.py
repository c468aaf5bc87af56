"""One app: the API under /v1, the probes, the console. Nothing but probes answers a stranger."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

import prebill
from prebill.api.auth import Reader
from prebill.api.body_limit import BodyLimit
from prebill.api.context import Services
from prebill.api.headers import SecurityHeaders
from prebill.api.problems import problem_of
from prebill.api.refresh import refreshing
from prebill.api.routes import ROUTERS
from prebill.bootstrap import Installation
from prebill.console.alert_routes import router as alert_router
from prebill.console.assistance_routes import router as assistance_router
from prebill.console.audit_routes import router as audit_router
from prebill.console.authority_routes import router as authority_router
from prebill.console.group_routes import router as group_router
from prebill.console.pages.account import problem_page
from prebill.console.policy_routes import router as policy_router
from prebill.console.render import STATIC, render
from prebill.console.routes import router as console_router
from prebill.console.sessions import PasswordChangeNeededError, sign_in_path
from prebill.core.errors import PrebillError, UnauthenticatedError

_log = logging.getLogger(__name__)

#: Paths of programs; their problems are documents, not pages.
PROGRAM_PATHS: Final = ("/v1/", "/metrics", "/healthz", "/readyz", "/static/")


def create_app(installation: Installation) -> FastAPI:
    """Build the app that serves an installation; it closes it at the end."""
    services = Services(installation)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with refreshing(installation):
            yield
        services.close()

    app = FastAPI(
        title="Prebill",
        version=prebill.__version__,
        description="Every invoice is judged before it is released.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(group_router)
    app.include_router(authority_router)
    app.include_router(audit_router)
    app.include_router(assistance_router)
    app.include_router(console_router)
    app.include_router(policy_router)
    app.include_router(alert_router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for kind in (PrebillError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer_problem)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    _add_openapi(app)
    return app


def _add_openapi(app: FastAPI) -> None:
    @app.get("/v1/openapi.json", include_in_schema=False)
    def openapi(_: Reader) -> dict[str, object]:
        """The description of the API, for signed-in users."""
        return app.openapi()


def answer_problem(request: Request, error: Exception) -> Response:
    """Answer any error: a document for programs, a page or the way to sign in for people."""
    problem = problem_of(error)
    if problem.status == 500:
        _log.error("request %s %s failed", request.method, request.url.path, exc_info=error)
    if request.url.path.startswith(PROGRAM_PATHS):
        return problem.response()
    if isinstance(error, UnauthenticatedError):
        return RedirectResponse(sign_in_path(request), 303)
    if isinstance(error, PasswordChangeNeededError):
        return RedirectResponse("/password", 303)
    return render(problem_page(problem), problem.status)
