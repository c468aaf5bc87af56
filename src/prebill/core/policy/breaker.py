"""The hold-rate breaker: when a run stops far more than usual, one incident with the likely cause.

Ten thousand cases after a wrong price book are one fault. What is stopped stays stopped; the
breaker releases nothing, it names what the stopped drafts have in common and the rest have not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from prebill.core.policy.reading import keys, number
from prebill.core.policy.shapes import closed, numbers

#: What drafts may have in common, by the column that says it.
KINDS: Final = {
    "rule": "rules",
    "reason": "codes",
    "class": "policy_class",
    "entity": "legal_entity",
    "currency": "currency",
}
#: A cause must be in this share of what is stopped, or it explains nothing.
LEAST_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Breaker:
    """Limits of a run: most of its drafts that may be stopped, and from how many drafts on."""

    stopped_share: float
    least_drafts: int


@dataclass(frozen=True, slots=True)
class Incident:
    """That a run stopped more than its policy expects; ``cause`` is null if nothing is common.

    ``stopped_with`` of ``stopped`` drafts have the cause, ``others_with`` of the drafts that were
    not stopped.
    """

    drafts: int
    stopped: int
    limit_share: float
    cause_kind: str | None
    cause: str | None
    stopped_with: int
    others_with: int

    @property
    def text(self) -> str:
        """The incident in one sentence."""
        told = (
            f"{self.stopped:,} of {self.drafts:,} drafts are stopped "
            f"({self.stopped / self.drafts:.1%}, limit {self.limit_share:.1%})"
        )
        if self.cause is None:
            return f"{told}; they have nothing in common"
        rest = self.drafts - self.stopped
        return (
            f"{told}; {self.stopped_with:,} of them have the {self.cause_kind} {self.cause}, "
            f"{self.others_with:,} of the other {rest:,} do"
        )


def tripped(decisions: pl.DataFrame, breaker: Breaker | None) -> Incident | None:
    """Return the incident of a run's decisions; None: there is no breaker, or no more than usual.

    Parameters
    ----------
    decisions : pl.DataFrame, one row per draft
        ``proposed_action`` and the columns of ``KINDS``, of which ``rules`` and ``codes`` are comma
        separated lists; null: not known.
    breaker : Breaker or None
        The policy's.
    """
    if breaker is None or decisions.height < breaker.least_drafts:
        return None
    marked = decisions.with_columns(is_stopped=pl.col("proposed_action") != "release")
    stopped = int(marked["is_stopped"].sum())
    if stopped <= breaker.stopped_share * decisions.height:
        return None
    best = _causes(marked).filter(pl.col("stopped_with") >= LEAST_SHARE * stopped).head(1)
    kind, cause, with_it, others = (None, None, 0, 0) if best.is_empty() else best.row(0)
    return Incident(decisions.height, stopped, breaker.stopped_share, kind, cause, with_it, others)


def _causes(marked: pl.DataFrame) -> pl.DataFrame:
    """``kind, cause, stopped_with, others_with``, what tells stopped from others best first."""
    stopped = max(int(marked["is_stopped"].sum()), 1)
    others = max(marked.height - stopped, 1)
    parts = []
    for order, (kind, column) in enumerate(KINDS.items()):
        listed = marked.select(
            "is_stopped", cause=pl.col(column).cast(pl.String).str.split(",").list.unique()
        ).explode("cause")
        counted = listed.filter(pl.col("cause").fill_null("") != "").group_by("cause")
        parts.append(
            counted.agg(
                stopped_with=pl.col("is_stopped").sum().cast(pl.Int64),
                others_with=(~pl.col("is_stopped")).sum().cast(pl.Int64),
            ).select(
                pl.lit(kind).alias("kind"), "cause", "stopped_with", "others_with", order=order
            )
        )
    difference = pl.col("stopped_with") / stopped - pl.col("others_with") / others
    ranked = pl.concat(parts).with_columns(difference=difference)
    ranked = ranked.filter(pl.col("difference") > 0)
    return ranked.sort("difference", "order", "cause", descending=[True, False, False]).select(
        "kind", "cause", "stopped_with", "others_with"
    )


def parse_breaker(section: object) -> Breaker | None:
    """Read the section; None: there is no breaker.

    Raises
    ------
    PolicyError
        An unknown or absent key, or a value outside its bounds.
    """
    if section is None:
        return None
    given: Mapping[str, object] = keys(section, "breaker", {"stopped_share", "least_drafts"})
    return Breaker(
        number(given, "stopped_share", "breaker", low=0.001, high=1.0),
        int(number(given, "least_drafts", "breaker", low=1, high=1e9)),
    )


SHAPE: Final[dict[str, Any]] = closed(
    {
        "stopped_share": numbers(0.001, 1, "of a run's drafts; more is an incident"),
        "least_drafts": numbers(1, 1e9, "smaller runs open none"),
    },
    needed=("stopped_share", "least_drafts"),
    meaning="when a run opens an incident",
)
