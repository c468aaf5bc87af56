"""Turns a page's context into HTML. The template sees the context's fields and nothing else."""

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prebill.console import policy_views, triage_views, views

PACKAGE: Final = Path(__file__).parent
STATIC: Final = PACKAGE / "static"
#: Template of each page; a page is shown by no other.
TEMPLATES: Final[dict[type, str]] = {
    views.SignInPage: "sign_in.html",
    views.PasswordPage: "password.html",
    views.QueuePage: "queue.html",
    views.CasePage: "case.html",
    views.ChangePage: "change.html",
    triage_views.GroupsPage: "groups.html",
    triage_views.GroupPage: "group.html",
    triage_views.AuthorityPage: "authority.html",
    views.RunsPage: "runs.html",
    views.InvoicePage: "invoice.html",
    policy_views.PoliciesPage: "policies.html",
    policy_views.PolicyPage: "policy.html",
    policy_views.PolicyFormPage: "policy_form.html",
    triage_views.AlertsPage: "alerts.html",
    triage_views.AuditPage: "audit.html",
    views.ProblemPage: "problem.html",
}


@cache
def environment() -> Environment:
    """The templates; an unknown name is an error, every value is escaped."""
    return Environment(
        loader=FileSystemLoader(PACKAGE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(page: object, status: int = 200) -> HTMLResponse:
    """Show a page of ``views.py``."""
    template = environment().get_template(TEMPLATES[type(page)])
    context = {one.name: getattr(page, one.name) for one in fields(page)}  # type: ignore[arg-type]
    return HTMLResponse(template.render(context), status)
