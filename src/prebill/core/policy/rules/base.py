"""The contract of a policy rule: parse its own settings strictly, answer for whole frames."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.scoring.exposure import Receivables

#: A rule's answer: the drafts it hits.
HITS: Final = pl.Schema({"invoice_id": pl.String})

Evaluate = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
#: A rule's own reasons (``FINDINGS``) from scores and receivables; its detector is the rule's id.
Explain = Callable[[pl.DataFrame, Receivables], pl.DataFrame]


class Action(IntEnum):
    """What happens to a draft; several answers combine by maximum."""

    RELEASE = 0
    REVIEW = 1
    HOLD = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in force: its stable id, what it leads to, and which drafts it hits.

    ``explain``: for a rule that no judge's finding explains; it then hits what it explained.
    """

    rule_id: str
    action: Action
    hits: Evaluate
    explain: Explain | None = None


@dataclass(frozen=True, slots=True)
class RuleKind:
    """A registered kind: its name in the policy text, its settings, and how it is built.

    ``explain``: builds the rule's own reasons; ``strictest``: what a rule of the kind may lead to
    at most.
    """

    name: str
    settings: frozenset[str]
    build: Callable[[Mapping[str, object], str], Evaluate]
    explain: Callable[[Mapping[str, object], str], Explain] | None = None
    strictest: Action = Action.HOLD


def number(settings: Mapping[str, object], name: str, rule_id: str, **bounds: float) -> float:
    """Read a number between ``low`` and ``high``.

    Raises
    ------
    PolicyError
        It is absent, not a number, or out of bounds.
    """
    value = settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{rule_id}: {name} must be a number, not {value!r}"
        raise PolicyError(message, where=rule_id, setting=name)
    low, high = bounds.get("low", 0.0), bounds.get("high", float("inf"))
    if not low <= value <= high:
        message = f"{rule_id}: {name} is {value}, outside {low} to {high}"
        raise PolicyError(message, where=rule_id, setting=name)
    return float(value)


def text(settings: Mapping[str, object], name: str, rule_id: str) -> str:
    """Read a text that is not empty."""
    value = settings.get(name)
    if not isinstance(value, str) or not value:
        message = f"{rule_id}: {name} must be a text, not {value!r}"
        raise PolicyError(message, where=rule_id, setting=name)
    return value


def texts(settings: Mapping[str, object], name: str, rule_id: str) -> list[str]:
    """Read a list of texts that is not empty."""
    value = settings.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        message = f"{rule_id}: {name} must be a list of texts, not {value!r}"
        raise PolicyError(message, where=rule_id, setting=name)
    return [str(item) for item in value]
