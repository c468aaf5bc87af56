"""Usage events once each: by (source, id), equal content dropped, other content reported."""

from dataclasses import dataclass

import polars as pl

from prebill.core.schemas.inbound import USAGE_EVENTS


@dataclass(frozen=True, slots=True)
class Deduped:
    """Events once each, what was dropped, and the keys that came with different content.

    ``conflicts`` has the columns of the events: every later version of a key whose content differs
    from the version kept. They are never metered; a person must look.
    """

    events: pl.DataFrame
    duplicates: int
    conflicts: pl.DataFrame


def dedupe(events: pl.DataFrame) -> Deduped:
    """Keep each (source, id) once.

    Of several contents under one key the smallest row counts (by time, then the other columns), so
    that the order of arrival is irrelevant.

    Parameters
    ----------
    events : pl.DataFrame, USAGE_EVENTS
        As received.

    Returns
    -------
    Deduped
        ``events.height + duplicates + conflicts.height`` is the height of the input.
    """
    # A 64-bit hash finds the few candidates; comparing five million pairs of texts costs a second.
    keys = events.select(
        candidate=pl.col("source").hash(1).xor(pl.col("id").hash(2)),
    )
    if keys["candidate"].n_unique() == events.height:
        return Deduped(events, 0, events.clear())
    repeated = keys.group_by("candidate").len().filter(pl.col("len") > 1)
    marked = events.with_columns(keys["candidate"])
    alone = marked.join(repeated, on="candidate", how="anti", maintain_order="left")
    several = marked.join(repeated, on="candidate", how="semi").drop("candidate")
    content = [name for name in USAGE_EVENTS.names if name in events.columns]
    different = several.unique(content).sort(
        "source", "id", "occurred_at", "customer_id", "meter", "quantity", *_rest(content)
    )
    is_first = different.select(pl.struct("source", "id").is_first_distinct()).to_series()
    kept, conflicts = different.filter(is_first), different.filter(~is_first)
    once = pl.concat([alone.drop("candidate"), kept])
    return Deduped(once, several.height - different.height, conflicts)


def _rest(content: list[str]) -> list[str]:
    return [name for name in content if name == "unique_value"]
