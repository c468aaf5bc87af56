"""What happens to each draft of a run beside what is stored already. Pure."""

from enum import StrEnum
from typing import Final

import polars as pl

#: Action of a final draft → the state it gets.
STATES: Final = {"release": "issued", "review": "in_review", "hold": "held"}


#: States in which a draft waits for a person.
WAITING: Final = ("in_review", "held")
#: Reasons that say that something could not be judged; it may be judged later.
UNJUDGED: Final = ("could_not_judge", "usage_late")


class Fate(StrEnum):
    """A draft of this run against its live version."""

    NEW = "new"
    #: The same version was stored while not final; now it is decided.
    PROMOTE = "promote"
    #: The inputs changed: a new version supersedes the old one, whose case lapses.
    REPLACE = "replace"
    #: Nothing changed, but a judge that could not judge it now can.
    REJUDGE = "rejudge"
    #: Nothing changed: it is left alone.
    EQUAL = "equal"
    #: It was issued and would be another one today: only proposed, never touched.
    ADJUST = "adjust"


def fates(drafts: pl.DataFrame, live: pl.DataFrame) -> pl.DataFrame:
    """Say what becomes of each draft.

    Parameters
    ----------
    drafts : pl.DataFrame
        ``draft_id, version, state, is_judged``: as this run makes them.
    live : pl.DataFrame
        ``draft_id, version, state, total_minor, is_judged``: as they are stored. ``is_judged`` is
        false where a reason says that something could not be judged.

    Returns
    -------
    pl.DataFrame, one row per draft, in the order given
        ``draft_id, fate, from_state, stored_minor``.
    """
    stored = live.select(
        "draft_id",
        stored="version",
        from_state="state",
        stored_minor="total_minor",
        was_judged="is_judged",
    )
    joined = drafts.join(stored, on="draft_id", how="left", maintain_order="left")
    is_equal = pl.col("stored") == pl.col("version")
    is_promoted = (pl.col("from_state") == "draft") & (pl.col("state") != "draft")
    is_rejudged = pl.col("is_judged") & ~pl.col("was_judged") & pl.col("from_state").is_in(WAITING)
    fate = (
        pl.when(pl.col("stored").is_null())
        .then(pl.lit(Fate.NEW.value))
        .when(is_equal & is_promoted)
        .then(pl.lit(Fate.PROMOTE.value))
        .when(is_equal & is_rejudged)
        .then(pl.lit(Fate.REJUDGE.value))
        .when(is_equal)
        .then(pl.lit(Fate.EQUAL.value))
        .when(pl.col("from_state") == "issued")
        .then(pl.lit(Fate.ADJUST.value))
        .otherwise(pl.lit(Fate.REPLACE.value))
    )
    return joined.select("draft_id", "from_state", "stored_minor", fate=fate)
