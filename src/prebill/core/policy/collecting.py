"""The section ``collections`` of a policy: from which figures on which terms and step are proposed.

All of it is for proposals that a person reads; nothing is sent, and no terms change by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prebill.core.errors import PolicyError
from prebill.core.policy.reading import number

_SECTIONS: Final = {
    "reminder": {"grace_days", "latest_days", "before_due_days", "before_due_p_late"},
    "shorter_terms": {"p_late", "days_late_p50", "least_days"},
    "deposit": {"p_late", "days_late_p90", "percent"},
}


@dataclass(frozen=True, slots=True)
class Collecting:
    """Limits of the proposals; a policy without the section has these.

    The first reminder is due between ``grace_days`` and ``latest_days`` after the due date; a
    notice goes ``before_due_days`` ahead of it where P(late) reaches ``before_due_p_late``. Terms
    get shorter where P(late) and the median delay reach theirs, never below ``least_days``; a
    deposit of ``deposit_percent`` is for those of whom even the 90th percentile is far out.
    """

    grace_days: int = 3
    latest_days: int = 14
    before_due_days: int = 5
    before_due_p_late: float = 0.8
    shorter_p_late: float = 0.7
    shorter_days_late: int = 10
    least_terms_days: int = 7
    deposit_p_late: float = 0.9
    deposit_days_late: int = 60
    deposit_percent: int = 30


def parse_collecting(section: object) -> Collecting:
    """Read the section; None: the limits above.

    Raises
    ------
    PolicyError
        An unknown or absent key, a value outside its bounds, or a latest day before the grace.
    """
    if section is None:
        return Collecting()
    given = _mapping(section, set(_SECTIONS), "collections")
    parts = {
        name: _mapping(given[name], keys, f"collections.{name}") for name, keys in _SECTIONS.items()
    }
    reminder, shorter, deposit = parts["reminder"], parts["shorter_terms"], parts["deposit"]

    def days(part: Mapping[str, object], name: str, low: int = 0) -> int:
        return int(number(part, name, "collections", low=low, high=365))

    def chance(part: Mapping[str, object], name: str) -> float:
        # Below an even chance nobody is called a late payer.
        return number(part, name, "collections", low=0.5, high=1.0)

    found = Collecting(
        grace_days=days(reminder, "grace_days"),
        latest_days=days(reminder, "latest_days"),
        before_due_days=days(reminder, "before_due_days", 1),
        before_due_p_late=chance(reminder, "before_due_p_late"),
        shorter_p_late=chance(shorter, "p_late"),
        shorter_days_late=days(shorter, "days_late_p50", 1),
        least_terms_days=days(shorter, "least_days"),
        deposit_p_late=chance(deposit, "p_late"),
        deposit_days_late=days(deposit, "days_late_p90", 1),
        deposit_percent=int(number(deposit, "percent", "collections", low=1, high=100)),
    )
    if found.latest_days < found.grace_days:
        message = "collections.reminder: latest_days must not be before grace_days"
        raise PolicyError(message, where="collections")
    return found


def _mapping(section: object, keys: set[str], where: str) -> Mapping[str, object]:
    if not isinstance(section, dict) or set(section) != keys:
        message = f"{where} must have exactly {', '.join(sorted(keys))}"
        raise PolicyError(message, where=where)
    return section
