"""Turns a page's context into HTML. The template sees the context's fields and nothing else."""

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prebill.console.views import TEMPLATES

PACKAGE: Final = Path(__file__).parent
STATIC: Final = PACKAGE / "static"


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
