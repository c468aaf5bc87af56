"""The ladder of actions, and how far up a policy's mode lets them go."""

from enum import IntEnum, StrEnum
from typing import Final

import polars as pl


class Action(IntEnum):
    """What happens to a draft; several answers combine by maximum."""

    RELEASE = 0
    REVIEW = 1
    HOLD = 2


class Mode(StrEnum):
    """How binding a policy is; what it proposes is recorded in every mode.

    ``observe``: everything is released. ``advise``: what it would hold is reviewed, so that one
    person may let it go. ``enforce``: what it proposes happens.
    """

    OBSERVE = "observe"
    ADVISE = "advise"
    ENFORCE = "enforce"


#: Mode → the strictest action that takes effect.
CEILINGS: Final = {
    Mode.OBSERVE: Action.RELEASE,
    Mode.ADVISE: Action.REVIEW,
    Mode.ENFORCE: Action.HOLD,
}
NAMES: Final = {action.value: action.name.lower() for action in Action}
LEVELS: Final = {name: level for level, name in NAMES.items()}


def in_effect(level: pl.Expr, mode: pl.Expr) -> pl.Expr:
    """The level that takes effect of a proposed one: at most what the mode lets through."""
    ceilings = {mode.value: action.value for mode, action in CEILINGS.items()}
    return pl.min_horizontal(level, mode.replace_strict(ceilings, return_dtype=pl.Int64))
