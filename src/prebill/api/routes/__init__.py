"""The routes of the API, one file a resource, listed here."""

from typing import Final

from fastapi import APIRouter

from prebill.api.routes import cases, health

ROUTERS: Final[tuple[APIRouter, ...]] = (health.router, cases.router)
