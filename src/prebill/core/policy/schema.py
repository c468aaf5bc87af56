"""The published JSON Schema of a policy text, made from the shapes that its sections declare."""

from typing import Any, Final

from prebill.core.policy import approvals, breaker, classes, failures, ruleset, service
from prebill.core.policy.action import Mode
from prebill.core.policy.model import NEEDED, VERSION
from prebill.core.policy.sampling import LEAST_SHARE
from prebill.core.policy.shapes import SHARE, closed, numbers, words

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SHARE: Final = numbers(LEAST_SHARE, 1, "chance of a released draft to be looked at")
_DAYS: Final = {"type": "number", "minimum": 0, "maximum": 365}
_CHANCE: Final = numbers(0.5, 1, "probability")

_SECTIONS: Final[dict[str, Any]] = {
    "version": {"const": VERSION},
    "name": {"type": "string", "minLength": 1},
    "mode": {
        "enum": [mode.value for mode in Mode],
        "description": "observe: all is released; advise: a hold is a review; enforce (default)",
    },
    "prior": closed(
        {
            "error": numbers(1e-6, 0.5, "share of drafts expected to need a correction"),
            "tail_exponent": numbers(0.05, 1, "smaller: errors look more extreme"),
        },
        needed=("error", "tail_exponent"),
        meaning="P(error) without labels",
    ),
    "costs": closed(
        {
            "over": numbers(0, 100, "of a unit over-billed and issued"),
            "under": numbers(0, 100, "of a unit under-billed and issued"),
            "review_minutes": numbers(0.1, 1e6, "a reviewer's time for one draft"),
        },
        needed=("over", "under", "review_minutes"),
    ),
    "rules": ruleset.SHAPE,
    "classes": classes.SHAPE,
    "payment_risk": closed(
        {"natural_persons": {"enum": ["allowed", "forbidden"]}}, needed=("natural_persons",)
    ),
    "collections": closed(
        {
            "reminder": closed(
                {
                    "grace_days": _DAYS,
                    "latest_days": _DAYS,
                    "before_due_days": _DAYS | {"minimum": 1},
                    "before_due_p_late": _CHANCE,
                },
                needed=("grace_days", "latest_days", "before_due_days", "before_due_p_late"),
            ),
            "shorter_terms": closed(
                {"p_late": _CHANCE, "days_late_p50": _DAYS | {"minimum": 1}, "least_days": _DAYS},
                needed=("p_late", "days_late_p50", "least_days"),
            ),
            "deposit": closed(
                {
                    "p_late": _CHANCE,
                    "days_late_p90": _DAYS | {"minimum": 1},
                    "percent": numbers(1, 100, "of the invoice"),
                },
                needed=("p_late", "days_late_p90", "percent"),
            ),
        },
        needed=("reminder", "shorter_terms", "deposit"),
        meaning="proposals that a person reads",
    ),
    "failures": failures.SHAPE,
    "routes": {
        "type": "object",
        "required": ["default"],
        "properties": {"default": {"type": "string", "minLength": 1}},
        "additionalProperties": words("reason codes that lead to the queue"),
    },
    "sla_hours": service.SLA_SHAPE,
    "calendars": service.CALENDARS_SHAPE,
    "on_breach": service.BREACH_SHAPE,
    "approvals": approvals.SHAPE,
    "breaker": breaker.SHAPE,
    "sample": closed(
        {
            "share": _SHARE,
            "due_hours": {"type": "number", "minimum": 1},
            "strata": {
                "type": "array",
                "items": closed(
                    {"from_score": SHARE, "share": _SHARE}, needed=("from_score", "share")
                ),
            },
        },
        needed=("share", "due_hours", "strata"),
    ),
}


def policy_schema() -> dict[str, Any]:
    """Return the schema; what one key must be beside another is said by ``prebill policy lint``."""
    return {
        "$schema": _DIALECT,
        "title": f"Prebill policy, version {VERSION}",
        **closed(_SECTIONS, needed=sorted(NEEDED)),
    }
