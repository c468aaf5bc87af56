"""Probes, which answer strangers, and metrics, which don't."""

from typing import Final

from fastapi import APIRouter, Response

from prebill.api.auth import Reader
from prebill.api.context import Served
from prebill.api.metrics import render_metrics

router: Final = APIRouter(tags=["operation"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Whether the process lives."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(served: Served) -> dict[str, str]:
    """Whether requests can be served: the database is there and of this revision."""
    served.store.check()
    return {"status": "ready"}


@router.get("/metrics")
def metrics(served: Served, _: Reader) -> Response:
    """Figures for Prometheus."""
    text, media_type = render_metrics(served.store, served.quality)
    return Response(text, media_type=media_type)
