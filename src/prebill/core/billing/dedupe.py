"""Usage events once each: by (source, id), equal content dropped, other content reported."""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import USAGE_EVENTS
from prebill.core.schemas.internal import FINDINGS

EVENT_IDS_CONFLICT: Final = "event_ids_conflict"
#: Ids named in a reason; the evidence has more of them.
_NAMED, _EVIDENCE = 3, 50
_KEY: Final = ["source", "id"]


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


def conflict_findings(deduped: Deduped, drafts: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Say on each draft that bills a meter of a conflicting event that one of its contents is left.

    Parameters
    ----------
    deduped : Deduped
        The events of the drafts' customers.
    drafts : pl.DataFrame, DRAFTS
        ``draft_id, customer_id``.
    lines : pl.DataFrame, DRAFT_LINES
        ``draft_id, line_id, meter``.

    Returns
    -------
    pl.DataFrame, FINDINGS
        One row a draft. Whichever content belongs to it: the kept one may be the wrong one.
    """
    if deduped.conflicts.is_empty():
        return FINDINGS.empty()
    kept = deduped.events.join(deduped.conflicts, on=_KEY, how="semi")
    every = pl.concat([kept, deduped.conflicts.select(kept.columns)])
    billed = lines.select("draft_id", "line_id", "meter").join(
        drafts.select("draft_id", "customer_id"), on="draft_id"
    )
    met = every.select(*_KEY, "customer_id", "meter").unique().sort(_KEY)
    event = pl.format("{}/{}", "source", "id").unique(maintain_order=True)
    found = (
        billed.join(met, on=["customer_id", "meter"], maintain_order="left_right")
        .group_by("draft_id", maintain_order=True)
        .agg(
            events=event.len(),
            first=event.head(_NAMED).str.join(", "),
            evidence=event.head(_EVIDENCE).str.join(","),
            line_ids=pl.col("line_id").unique(maintain_order=True).str.join(","),
        )
    )
    text = pl.format(
        "{} usage events came again with the same id and other content ({}{}); the earliest "
        "content is billed, the others are not: find out which is true.",
        "events",
        "first",
        pl.when(pl.col("events") > _NAMED).then(pl.lit(", …")).otherwise(pl.lit("")),
    )
    return FINDINGS.conform(
        found.with_columns(
            invoice_id="draft_id",
            detector=pl.lit("billing"),
            code=pl.lit(EVENT_IDS_CONFLICT),
            basis=pl.lit("exact"),
            score=pl.lit(1, dtype=pl.Int64).cast(FINDINGS.schema["score"]),
            expected=pl.lit("one content under one event id"),
            text=text,
        )
    )
