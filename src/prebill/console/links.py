"""Paths of the pages."""

from urllib.parse import quote


def case_href(case_id: str) -> str:
    """Path of a case's page.

    Examples
    --------
    >>> case_href("case:DE:2026-10:S/1:ab12")
    '/cases/case:DE:2026-10:S%2F1:ab12'
    """
    return f"/cases/{quote(case_id, safe=':')}"


def invoice_href(draft_id: str) -> str:
    """Path of a draft's page."""
    return f"/invoices/{quote(draft_id, safe=':')}"


def group_href(cause: str) -> str:
    """Path of the page of all cases of one cause.

    Examples
    --------
    >>> group_href("2026-10:unit_error:api calls")
    '/groups/2026-10:unit_error:api%20calls'
    """
    return f"/groups/{quote(cause, safe=':')}"
