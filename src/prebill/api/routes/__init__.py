"""The routes of the API, one file a resource, listed here."""

from typing import Final

from fastapi import APIRouter

from prebill.api.routes import (
    assistance,
    billing_runs,
    cases,
    health,
    invoices,
    usage_events,
    webhooks,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    usage_events.router,
    invoices.router,
    webhooks.router,
    billing_runs.router,
    assistance.router,  # before cases: their ids may contain slashes
    cases.router,
)
