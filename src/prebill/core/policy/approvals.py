"""The section ``approvals``: who may let go what, alone or together.

Whoever lets a draft go asks :meth:`Approvals.needed`; a policy without the section has no limits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.policy.action import LEVELS
from prebill.core.policy.reading import (
    chosen,
    keys,
    limit_minor,
    money_limits,
    number,
    one_or_more,
)
from prebill.core.policy.shapes import LIMITS, closed, one_or_more_shape

#: Roles that may decide on a draft; what each may do beside is no matter of a policy.
ROLES: Final = ("reviewer", "controller", "admin")
_MOST_PEOPLE: Final = 10


@dataclass(frozen=True, slots=True)
class Needed:
    """From an action and an amount on, so many people of the roles must approve."""

    action: str
    over: Mapping[str, float]
    people: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Approvals:
    """Limits by role in major units (a role that is not named has none) and the matrix."""

    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    matrix: tuple[Needed, ...] = ()

    def needed(self, drafts: pl.DataFrame) -> pl.DataFrame:
        """Say how many people of which roles must approve each draft.

        Parameters
        ----------
        drafts : pl.DataFrame
            ``action, currency, total_minor``.

        Returns
        -------
        pl.DataFrame, one row per draft, in order
            ``people`` and ``roles`` (comma separated; each of them within its limit). The first
            line of the matrix that fits; else one person of any role. A role whose limit is below
            the total is left out; no role left is an empty text: nobody may.
        """
        size = pl.col("total_minor").abs()
        people, roles = pl.lit(1), pl.lit(list(ROLES))
        for one in reversed(self.matrix):
            is_over = size > limit_minor(one.over)
            fits = (pl.col("action") == one.action) & is_over
            people = pl.when(fits).then(pl.lit(one.people)).otherwise(people)
            roles = pl.when(fits).then(pl.lit(list(one.roles))).otherwise(roles)
        within = pl.concat_list(self._within(role, size) for role in ROLES).list.drop_nulls()
        return drafts.select(
            people=people.cast(pl.Int64), roles=roles.list.set_intersection(within).list.join(",")
        )

    def is_within(self, role: str, currency: str, total_minor: int) -> bool:
        """Whether a total is within what one person of a role may let go."""
        if role not in self.limits:
            return True
        one = pl.DataFrame({"currency": [currency]})
        return abs(total_minor) <= int(one.select(limit_minor(self.limits[role])).item())

    def _within(self, role: str, size: pl.Expr) -> pl.Expr:
        """The role where the size is within its limit, else null."""
        if role not in self.limits:
            return pl.lit(role)
        return pl.when(size <= limit_minor(self.limits[role])).then(pl.lit(role)).alias(role)


def parse_approvals(section: object) -> Approvals:
    """Read the section; None: no limits, one person.

    Raises
    ------
    PolicyError
        An unknown key, role, action or currency, or a line that more than ten people need.
    """
    if section is None:
        return Approvals()
    given = keys(section, "approvals", set(), {"limits", "matrix"})
    limits = keys(given.get("limits", {}), "approvals.limits", set(), set(ROLES))
    lines = given.get("matrix", [])
    if not isinstance(lines, list):
        message = "approvals.matrix must be a list"
        raise PolicyError(message, where="approvals.matrix")
    return Approvals(
        {role: money_limits(limits, role, "approvals.limits") for role in limits},
        tuple(_needed(line) for line in lines),
    )


def _needed(line: object) -> Needed:
    where = "approvals.matrix"
    given = keys(line, where, {"action", "over", "people", "of"})
    people = number(given, "people", where, low=1, high=_MOST_PEOPLE)
    if people != int(people):
        message = f"{where}: people must be a whole number, not {people}"
        raise PolicyError(message, where=where, setting="people")
    roles = one_or_more(given, "of", where)
    return Needed(
        chosen(given["action"], ("review", "hold"), f"{where}.action"),
        money_limits(given, "over", where),
        int(people),
        tuple(chosen(role, ROLES, f"{where}.of") for role in roles),
    )


SHAPE: Final[dict[str, Any]] = closed(
    {
        "limits": closed(
            dict.fromkeys(ROLES, LIMITS), meaning="most that one person of a role may let go"
        ),
        "matrix": {
            "type": "array",
            "description": "the first line that fits; else one person",
            "items": closed(
                {
                    "action": {"enum": [name for name in LEVELS if name != "release"]},
                    "over": LIMITS,
                    "people": {"type": "integer", "minimum": 1, "maximum": _MOST_PEOPLE},
                    "of": one_or_more_shape("roles") | {"examples": [list(ROLES)]},
                },
                needed=("action", "over", "people", "of"),
            ),
        },
    },
    meaning="who must approve what",
)
