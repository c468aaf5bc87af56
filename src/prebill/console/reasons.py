"""Reason codes of decisions, one list: what reviewers may say, and what it means for learning."""

from typing import Final

#: It is right after all: release.
RELEASE_REASONS: Final = {
    "unusual_but_right": "Unusual, but right",
    "agreed_with_customer": "Agreed with the customer",
    "should_not_have_been_asked": "Should not have been asked",
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
