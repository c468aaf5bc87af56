"""JSON Schemas of values that several sections and kinds of rules have."""

from collections.abc import Sequence
from typing import Any, Final

from prebill.core.money import CURRENCY_EXPONENTS

Shape = dict[str, Any]


def numbers(low: float, high: float, meaning: str) -> Shape:
    """A number within bounds."""
    return {"type": "number", "minimum": low, "maximum": high, "description": meaning}


def words(meaning: str) -> Shape:
    """A list of texts."""
    return {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string"},
        "description": meaning,
    }


def one_or_more_shape(meaning: str) -> Shape:
    """A text or a list of texts."""
    return {"anyOf": [{"type": "string", "minLength": 1}, words(meaning)], "description": meaning}


def closed(properties: Shape, *, needed: Sequence[str] = (), meaning: str = "") -> Shape:
    """A mapping of these keys and no others."""
    found: Shape = {
        "type": "object",
        "properties": properties,
        "required": list(needed),
        "additionalProperties": False,
    }
    return found | ({"description": meaning} if meaning else {})


#: Amounts by currency, in major units of it.
LIMITS: Final[Shape] = {
    "type": "object",
    "required": ["default"],
    "propertyNames": {"enum": ["default", *sorted(CURRENCY_EXPONENTS)]},
    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1e11},
    "description": "major units by currency; default: every other currency",
}
SHARE: Final = numbers(0, 1, "0 to 1")
