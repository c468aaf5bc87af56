"""Reason codes of decisions, one list: what reviewers may say, and what it means for learning."""

import re
from typing import Final

OTHER: Final = "other"

#: It is right after all: release.
RELEASE_REASONS: Final = {
    "unusual_but_right": "Unusual, but right",
    "agreed_with_customer": "Agreed with the customer",
    "should_not_have_been_asked": "Should not have been asked",
    "looked_right": "Looked at, right",
}
#: It is wrong: correct or reject.
ERROR_REASONS: Final = {
    "wrong_quantity": "Wrong quantity or usage",
    "wrong_price": "Wrong price",
    "wrong_discount": "Wrong discount",
    "wrong_tax": "Wrong tax",
    "wrong_customer": "Wrong customer or party",
    "duplicate": "Billed twice",
    "not_agreed": "Not agreed with the customer",
    "other_error": "Other error",
}
ALL_REASONS: Final = {**RELEASE_REASONS, **ERROR_REASONS, OTHER: "Other"}


#: Finding codes serve as reasons too, for example duplicate_usage.
_CODE: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def coded(reason: str, note: str = "") -> tuple[str, str]:
    """Return code and note: a sentence is no code and becomes the note of ``other``.

    Examples
    --------
    >>> coded("duplicate"), coded("asked the customer"), coded("wrong_tax", "moved to Vienna")
    (('duplicate', ''), ('other', 'asked the customer'), ('wrong_tax', 'moved to Vienna'))
    """
    reason, note = reason.strip(), note.strip()
    if _CODE.fullmatch(reason):
        return reason, note
    return OTHER, f"{reason} {note}".strip()
