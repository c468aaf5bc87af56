"""Checks over the rows that belong together: overlapping phases, tiers with gaps.

They judge the state that would result: rows known already plus the new ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from prebill.core.errors import ContractError
from prebill.core.money import DECIMAL

#: Later than every date a contract admits: stands for "open".
_OPEN: Final = date(9999, 1, 1)


@dataclass(frozen=True, slots=True)
class Blamed:
    """Row numbers (column ``row``) that break a group rule, and the column to name."""

    rows: pl.DataFrame
    column: str


def overlapping(state: pl.DataFrame, arguments: Mapping[str, object]) -> Blamed:
    """Find rows whose [start, end) overlaps a sibling's, counting the newest version of each.

    Parameters
    ----------
    state : pl.DataFrame
        Known rows (``row`` null) and new rows (``row`` set), typed by the contract.
    arguments : Mapping
        ``by`` group columns, ``start``, ``end`` (null = open), ``version`` and ``member``: a
        later version of the same member replaces an earlier one.
    """
    by, member = _names(arguments["by"]), str(arguments["member"])
    start, end, version = (str(arguments[name]) for name in ("start", "end", "version"))
    # A version may move its member to another group (another plan), so groups come second.
    owner = _names(arguments["owner"]) if "owner" in arguments else by
    newest = state.sort(version).group_by([*owner, member], maintain_order=True).last()
    ends = pl.col(end).fill_null(_OPEN)
    placed = newest.sort(*by, start).with_columns(
        # The furthest end of all earlier siblings, so that a short one in between hides nothing.
        ends.cum_max().shift(1).over(by).alias("before_ends"),
        pl.col(start).shift(-1).over(by).alias("next_starts"),
    )
    clashes = placed.filter(
        (pl.col(start) < pl.col("before_ends")) | (ends > pl.col("next_starts"))
    )
    return Blamed(clashes.filter(pl.col("row").is_not_null()).select("row"), start)


def broken_tiers(state: pl.DataFrame, arguments: Mapping[str, object]) -> Blamed:
    """Find the new tiers of charges whose tiers do not run from 0 without gap or overlap."""
    by = _names(arguments["by"])
    start, end = str(arguments["start"]), str(arguments["end"])
    zero = pl.lit(0).cast(DECIMAL)
    ordered = state.sort(*by, start).with_columns(
        pl.col(end).shift(1).over(by).alias("before_ends"),
        pl.int_range(pl.len()).over(by).alias("place"),
        pl.len().over(by).alias("places"),
    )
    first, last = pl.col("place") == 0, pl.col("place") == pl.col("places") - 1
    meets = pl.col(start).eq_missing(pl.when(first).then(zero).otherwise(pl.col("before_ends")))
    is_broken = ~meets | (pl.col(end).is_null() != last)
    broken = ordered.filter(is_broken.any().over(by) & pl.col("row").is_not_null())
    return Blamed(broken.select("row"), start)


def _names(value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        message = f"{value!r} is not a list of column names"
        raise ContractError(message, value=value)
    return [str(name) for name in value]


#: Check name → function over the resulting state.
GROUP_CHECKS: Final[Mapping[str, Callable[[pl.DataFrame, Mapping[str, object]], Blamed]]] = {
    "no_overlap": overlapping,
    "contiguous_tiers": broken_tiers,
}

GROUP_ARGUMENTS: Final[Mapping[str, frozenset[str]]] = {
    "no_overlap": frozenset({"by", "start", "end", "version", "member", "owner"}),
    "contiguous_tiers": frozenset({"by", "start", "end"}),
}
