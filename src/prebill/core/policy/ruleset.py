"""The section ``rules``, and what classes make of it: which form of a rule asks which drafts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.classes import InvoiceClass
from prebill.core.policy.reading import action_of, keys, text
from prebill.core.policy.rules import KINDS, Rule, RuleKind
from prebill.core.policy.shapes import closed

_COMMON: Final = frozenset({"id", "kind", "action"})

Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Variant:
    """A rule as some classes have it: ``only`` in these, or everywhere but in ``others``."""

    rule: Rule
    only: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def asked(self, scores: pl.DataFrame) -> pl.DataFrame:
        """The drafts that it asks; ``scores`` carry ``policy_class``."""
        if not self.only and not self.others:
            return scores
        named = pl.col("policy_class")
        if self.only:
            return scores.filter(named.is_in(list(self.only)))
        return scores.filter(~named.is_in(list(self.others)).fill_null(value=False))

    def hits(self, scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
        """``invoice_id`` of the drafts that it asks and hits."""
        asked = self.asked(scores)
        found = self.rule.hits(asked, findings).select("invoice_id")
        if asked is scores:
            return found
        # A rule may answer from the findings alone.
        return found.join(asked.select("invoice_id"), on="invoice_id", how="semi")


def rule_settings(document: Settings) -> tuple[Settings, ...]:
    """The rules as the text has them, one mapping each.

    Raises
    ------
    PolicyError
        It is no list of mappings, or an id stands twice.
    """
    listed = document["rules"]
    if not isinstance(listed, list) or not all(isinstance(rule, dict) for rule in listed):
        message = "rules must be a list of mappings"
        raise PolicyError(message, where="rules")
    ids = [text(rule, "id", "a rule") for rule in listed]
    twice = sorted({rule_id for rule_id in ids if ids.count(rule_id) > 1})
    if twice:
        message = f"rule ids stand twice: {', '.join(twice)}"
        raise PolicyError(message, where="rules", ids=twice)
    return tuple(listed)


def rule_of(settings: Settings) -> Rule:
    """Build a rule.

    Raises
    ------
    PolicyError
        An unknown kind, key or action, an absent key, or a stricter action than the kind may have.
    """
    rule_id = text(settings, "id", "a rule")
    kind = KINDS.get(str(settings.get("kind")))
    if kind is None:
        message = f"{rule_id}: unknown kind {settings.get('kind')!r}; known: {', '.join(KINDS)}"
        raise PolicyError(message, where=rule_id, setting="kind")
    known = frozenset(kind.settings)
    keys(settings, rule_id, _COMMON | (known - kind.optional), kind.optional)
    action = action_of(settings["action"], rule_id)
    if action > kind.strictest:
        most = kind.strictest.name.lower()
        message = f"{rule_id}: a rule of kind {kind.name} leads to {most} at most"
        raise PolicyError(message, where=rule_id, setting="action")
    return kind.rule(settings, rule_id, action)


def variants_of(
    listed: tuple[Settings, ...], classes: tuple[InvoiceClass, ...]
) -> tuple[Variant, ...]:
    """Every rule for everybody, and its forms in the classes that override it.

    Raises
    ------
    PolicyError
        What a class overrides makes a rule that can't be.
    """
    found = []
    for settings in listed:
        rule_id = str(settings["id"])
        overriding = [one for one in classes if rule_id in one.rules]
        others = frozenset(one.name for one in overriding)
        found.append(Variant(rule_of(settings), others=others))
        found += [
            Variant(_overridden(settings, override, one.name), only=frozenset({one.name}))
            for one in overriding
            if (override := one.rules[rule_id]) is not None
        ]
    return tuple(found)


def _overridden(settings: Settings, override: Settings, class_name: str) -> Rule:
    fixed = sorted({"id", "kind"} & set(override))
    if fixed:
        message = f"class {class_name}: {', '.join(fixed)} of {settings['id']} can't be replaced"
        raise PolicyError(message, where=f"class {class_name}", setting=fixed[0])
    try:
        return rule_of({**settings, **override})
    except PolicyError as error:
        message = f"class {class_name}: {error}"
        facts: dict[str, Any] = {**error.facts, "where": f"class {class_name}"}
        raise PolicyError(message, **facts) from error


def score_limits(listed: tuple[Settings, ...]) -> dict[str, float]:
    """Action → lowest anomaly score that leads to it, from settings that were parsed already."""
    limits: dict[str, float] = {}
    for rule in listed:
        if rule.get("score") == "anomaly_score":
            action, limit = str(rule["action"]), float(str(rule["at_least"]))
            limits[action] = min(limit, limits.get(action, limit))
    return limits


def _shape(kind: RuleKind) -> dict[str, Any]:
    actions = ["release", "review", "hold"][: kind.strictest.value + 1]
    settings = {name: dict(shape) for name, shape in kind.settings.items()}
    return closed(
        {
            "id": {"type": "string", "minLength": 1},
            "kind": {"const": kind.name},
            "action": {"enum": actions},
            **settings,
        },
        needed=["id", "kind", "action", *(one for one in settings if one not in kind.optional)],
        meaning=kind.meaning,
    )


#: JSON Schema of the section.
SHAPE: Final[dict[str, Any]] = {
    "type": "array",
    "description": "every rule is asked; the strictest answer wins",
    "items": {"oneOf": [_shape(kind) for kind in KINDS.values()]},
}
