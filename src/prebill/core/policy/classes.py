"""The section ``classes``: which invoices are treated otherwise than the rest, and how.

The list is ordered and the first class that fits wins. What a class doesn't override holds as the
policy says it for everybody. Where a condition can't be told, because what it asks for is not known
of the draft, no later class may claim the draft: it is ``UNCLASSED`` and somebody looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.action import Mode
from prebill.core.policy.reading import (
    chosen,
    keys,
    limit_minor,
    money_limits,
    number,
    one_or_more,
    optional_number,
    text,
)
from prebill.core.policy.service import BREACH_SHAPE, SLA_SHAPE, Breach, parse_breach, parse_sla
from prebill.core.policy.shapes import LIMITS, closed, numbers, one_or_more_shape

#: Stands for the class of a draft of which a condition can't be told; no class may have the name.
UNCLASSED: Final = "unclassed"
#: The class of all that no class of the list fits.
REST: Final = "default"
_WHEN: Final = frozenset(
    {"entity", "currency", "size", "segment", "plan", "product", "tenure_days"}
)
_CLASS: Final = frozenset(
    {"mode", "rules", "sla_hours", "calendar", "on_breach", "queue", "review_minutes"}
)
_BAND: Final = frozenset({"from", "below"})


@dataclass(frozen=True, slots=True)
class InvoiceClass:
    """One class: ``fits`` is true, false or, where it can't be told, null; None: not overridden.

    ``rules``: settings by rule id that replace those of the rule; None: the rule is off.
    """

    name: str
    fits: pl.Expr
    mode: Mode | None = None
    rules: Mapping[str, Mapping[str, object] | None] = field(default_factory=dict)
    sla_hours: Mapping[str, float] = field(default_factory=dict)
    calendar: str | None = None
    on_breach: Mapping[str, Breach] = field(default_factory=dict)
    queue: str | None = None
    review_minutes: float | None = None


def classed(classes: tuple[InvoiceClass, ...]) -> pl.Expr:
    """Name the class of each draft; ``REST``: none fits, ``UNCLASSED``: it can't be told.

    Parameters
    ----------
    classes : tuple of InvoiceClass
        In order.

    Returns
    -------
    pl.Expr
        Over scores with ``CIRCUMSTANCES``.
    """
    named: pl.Expr = pl.lit(REST)
    for one in reversed(classes):
        fits = one.fits
        known = pl.when(fits).then(pl.lit(one.name)).otherwise(named)
        named = pl.when(fits.is_null()).then(pl.lit(UNCLASSED)).otherwise(known)
    return named


def parse_classes(section: object, rule_ids: frozenset[str]) -> tuple[InvoiceClass, ...]:
    """Read the section; None: no classes.

    Parameters
    ----------
    section : object
        As the text has it.
    rule_ids : frozenset of str
        Of the policy's rules, which a class may override.

    Raises
    ------
    PolicyError
        An unknown key, a class without a condition, a name twice, or a rule that there is not.
    """
    if section is None:
        return ()
    if not isinstance(section, list):
        message = "classes must be a list"
        raise PolicyError(message, where="classes")
    classes = tuple(_class(one, rule_ids) for one in section)
    names = [one.name for one in classes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or {UNCLASSED, REST} & set(names):
        message = f"class names must differ from each other, {REST} and {UNCLASSED}: {names}"
        raise PolicyError(message, where="classes")
    return classes


def _class(given: object, rule_ids: frozenset[str]) -> InvoiceClass:
    parts = keys(given, "a class", {"name", "when"}, _CLASS)
    name = text(parts, "name", "a class")
    where = f"class {name}"
    return InvoiceClass(
        name=name,
        fits=_fits(parts["when"], where),
        mode=Mode(chosen(parts["mode"], tuple(Mode), f"{where}.mode")) if "mode" in parts else None,
        rules=_overrides(parts.get("rules"), rule_ids, where),
        sla_hours=parse_sla(parts["sla_hours"], where) if "sla_hours" in parts else {},
        calendar=text(parts, "calendar", where) if "calendar" in parts else None,
        on_breach=parse_breach(parts.get("on_breach"), where),
        queue=text(parts, "queue", where) if "queue" in parts else None,
        review_minutes=optional_number(parts, "review_minutes", where, low=0.1),
    )


def _overrides(
    section: object, rule_ids: frozenset[str], where: str
) -> dict[str, Mapping[str, object] | None]:
    if section is None:
        return {}
    given = keys(section, f"{where}.rules", set(), rule_ids)
    found: dict[str, Mapping[str, object] | None] = {}
    for rule_id, settings in given.items():
        is_off = settings == "off" or settings is False  # YAML reads a bare off as false
        if not is_off and not (isinstance(settings, dict) and settings):
            message = f"{where}.rules: {rule_id} must be off or settings that replace the rule's"
            raise PolicyError(message, where=where, setting=rule_id)
        found[rule_id] = None if is_off else settings  # type: ignore[assignment]
    return found


def _fits(section: object, where: str) -> pl.Expr:
    """All conditions hold; Kleene's and: one that fails settles it, whatever is not known."""
    when = keys(section, f"{where}.when", set(), _WHEN)
    if not when:
        message = f"{where}: when must name at least one condition"
        raise PolicyError(message, where=where, setting="when")
    conditions: list[pl.Expr] = []
    for name, column in (
        ("entity", "legal_entity"),
        ("currency", "currency"),
        ("segment", "segment"),
    ):
        if name in when:
            conditions.append(pl.col(column).is_in(one_or_more(when, name, where)))
    for name, column in (("plan", "plans"), ("product", "products")):
        if name in when:
            listed = pl.col(column).str.split(",")
            wanted = pl.lit(one_or_more(when, name, where))
            conditions.append(listed.list.set_intersection(wanted).list.len() > 0)
    if "size" in when:
        conditions += _size(when["size"], f"{where}.size")
    if "tenure_days" in when:
        band = _band(when["tenure_days"], f"{where}.tenure_days")
        days = {key: number(band, key, f"{where}.tenure_days") for key in band}
        tenure = pl.col("tenure_days")
        conditions += [tenure >= days["from"]] if "from" in days else []
        conditions += [tenure < days["below"]] if "below" in days else []
    return pl.all_horizontal(conditions)


def _size(section: object, where: str) -> list[pl.Expr]:
    """The total's size, whichever its sign, within amounts by currency."""
    band = _band(section, where)
    limits = {key: limit_minor(money_limits(band, key, where)) for key in band}
    size = pl.col("total_minor").abs()
    found = [size >= limits["from"]] if "from" in limits else []
    return found + ([size < limits["below"]] if "below" in limits else [])


def _band(section: object, where: str) -> Mapping[str, object]:
    band = keys(section, where, set(), _BAND)
    if not band:
        message = f"{where} must say from, below or both"
        raise PolicyError(message, where=where)
    return band


def _band_shape(value: dict[str, Any], meaning: str) -> dict[str, Any]:
    return closed(dict.fromkeys(sorted(_BAND), value), meaning=meaning) | {"minProperties": 1}


#: JSON Schema of the section.
SHAPE: Final[dict[str, Any]] = {
    "type": "array",
    "description": "ordered; the first that fits wins",
    "items": closed(
        {
            "name": {"type": "string", "minLength": 1, "not": {"enum": [REST, UNCLASSED]}},
            "when": closed(
                {
                    "entity": one_or_more_shape("legal entities"),
                    "currency": one_or_more_shape("ISO 4217"),
                    "segment": one_or_more_shape("segments of customers"),
                    "plan": one_or_more_shape("plans, one of which is billed"),
                    "product": one_or_more_shape("products or charges, one of which is billed"),
                    "size": _band_shape(LIMITS, "total, whichever its sign, in major units"),
                    "tenure_days": _band_shape(
                        numbers(0, 1e6, "days"), "days since the customer began"
                    ),
                },
                meaning="all of it must fit",
            )
            | {"minProperties": 1},
            "mode": {"enum": [mode.value for mode in Mode]},
            "rules": {
                "type": "object",
                "description": "rule id: off, or settings that replace the rule's own",
                "additionalProperties": {
                    "anyOf": [
                        {"enum": ["off", False]},
                        {"type": "object", "minProperties": 1},
                    ]
                },
            },
            "sla_hours": SLA_SHAPE,
            "calendar": {"type": "string", "description": "name of one of the calendars"},
            "on_breach": BREACH_SHAPE,
            "queue": {"type": "string", "minLength": 1},
            "review_minutes": numbers(0.1, 1e6, "a reviewer's time for one draft"),
        },
        needed=("name", "when"),
    ),
}
