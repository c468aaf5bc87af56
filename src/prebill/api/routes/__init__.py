"""The routes of the API, one file a resource, listed here."""

from typing import Final

from fastapi import APIRouter

from prebill.api.routes import (
    alerts,
    assistance,
    audit_entries,
    authority,
    billing_runs,
    case_groups,
    case_handling,
    cases,
    health,
    invoices,
    policies,
    snoozes,
    usage_events,
    webhooks,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    audit_entries.router,
    authority.router,
    usage_events.router,
    invoices.router,
    webhooks.router,
    billing_runs.router,
    case_groups.router,
    case_handling.router,
    assistance.router,  # before cases: their ids may contain slashes
    cases.router,
    policies.router,
    snoozes.router,
    alerts.router,
)
