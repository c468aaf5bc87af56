"""Where a list goes on: an opaque text that callers pass back as they got it."""

import base64
import binascii
import json

from prebill.core.errors import InputError
from prebill.store.console import Cursor


def encode_cursor(cursor: Cursor) -> str:
    """Write a cursor.

    Examples
    --------
    >>> decode_cursor(encode_cursor(Cursor(1.5, "case:1")))
    Cursor(priority=1.5, case_id='case:1')
    """
    text = json.dumps([cursor.priority, cursor.case_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor | None:
    """Read a cursor; an empty text is the beginning.

    Raises
    ------
    InputError
        It is not one of ours.
    """
    if not text:
        return None
    try:
        priority, case_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return Cursor(None if priority is None else float(priority), str(case_id))
    except (ValueError, TypeError, binascii.Error):
        message = "the cursor is damaged: begin again without it"
        raise InputError(message) from None
