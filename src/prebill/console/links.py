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
