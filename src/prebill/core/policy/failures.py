"""The section ``failures``: what follows when a judge can't judge. Never a release.

Beside ``default`` it names detectors, rules, and three states of judging as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.action import Action
from prebill.core.policy.reading import action_of

#: Judging as a whole: it raised or its models can't be used; what it reads had not arrived; a judge
#: failed that has no line of its own.
DOWN: Final = "scorer_down"
LATE: Final = "scorer_late"
PARTIAL: Final = "scorer_partial"
STATES: Final = (DOWN, LATE, PARTIAL)
_STATE: Final = "scorer_"


@dataclass(frozen=True, slots=True)
class Failures:
    """Action by judge, rule or state."""

    named: Mapping[str, Action]

    def of(self, name: str) -> Action:
        """What a judge or rule leads to that could not judge."""
        return self.named.get(name, self.named.get(PARTIAL, self.named["default"]))

    def state(self, state: str) -> Action:
        """What a state leads to: a review, unless the policy says it."""
        return self.named.get(state, Action.REVIEW)

    def level(self, judge: pl.Expr) -> pl.Expr:
        """The level of each judge that could not judge."""
        return judge.replace_strict(
            {name: action.value for name, action in self.named.items()},
            default=self.named.get(PARTIAL, self.named["default"]).value,
            return_dtype=pl.Int64,
        )


def parse_failures(section: object) -> Failures:
    """Read the section.

    Raises
    ------
    PolicyError
        There is no default, a state is unknown, or a failure would release.
    """
    if not isinstance(section, dict):
        message = "failures must be a mapping"
        raise PolicyError(message, where="failures")
    named = {str(name): action_of(value, f"failures.{name}") for name, value in section.items()}
    if "default" not in named:
        message = "failures must name a default"
        raise PolicyError(message, where="failures")
    unknown = [name for name in named if name.startswith(_STATE) and name not in STATES]
    if unknown:
        message = f"failures: unknown state {unknown[0]}; known are {', '.join(STATES)}"
        raise PolicyError(message, where="failures", setting=unknown[0])
    released = [name for name, action in named.items() if action is Action.RELEASE]
    if released:
        message = f"failures of {', '.join(released)} may not release: a judge failed"
        raise PolicyError(message, where="failures")
    return Failures(named)


SHAPE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["default"],
    "propertyNames": {"pattern": f"^(?!{_STATE})|^({'|'.join(STATES)})$"},
    "properties": {name: {"enum": ["review", "hold"]} for name in ("default", *STATES)},
    "additionalProperties": {"enum": ["review", "hold"], "description": "a detector or rule id"},
    "description": "what a judge that could not judge leads to",
}
