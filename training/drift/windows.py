"""Cut dated rows into a reference and windows. Later rows never change an earlier window."""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from training.drift.limits import Limits


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of ``[start_on, end_on)``, one each ``row_id``."""

    start_on: date
    end_on: date
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Windows:
    """``reference`` is None while there is too little to compare with; ``note`` says what is."""

    reference: Window | None
    windows: list[Window]
    note: str


def cut(
    rows: pl.DataFrame,
    limits: Limits,
    *,
    as_of_on: date,
    reference: tuple[date, date] | None = None,
) -> Windows:
    """Cut rows by their day.

    Parameters
    ----------
    rows : pl.DataFrame
        ``at_on`` Date, ``row_id``; a row that stands twice in a window counts as it was last.
    limits : Limits
        A window closes at the end of the first ``window_days`` in which it has ``min_rows``.
    as_of_on : date
        Rows of this day or later are not read; a window that has not ended before it isn't there.
    reference : pair of dates or None
        Preferred reference [start, end); too few rows in it, and the first windows take its place.
    """
    known = rows.filter(pl.col("at_on") < as_of_on).sort("at_on", maintain_order=True)
    if reference is not None:
        inside = known.filter(pl.col("at_on").is_between(*reference, closed="left"))
        inside = inside.unique("row_id", keep="last", maintain_order=True)
        if inside.height >= limits.min_rows:
            later = known.filter(pl.col("at_on") >= reference[1])
            found = _windows(later, reference[1], limits, as_of_on)
            note = f"reference: the champion's test period, {inside.height:,} rows"
            return Windows(Window(*reference, inside), found, _with_waiting(note, later, found))
    first_on = known["at_on"].min()
    found = _windows(known, first_on, limits, as_of_on) if isinstance(first_on, date) else []
    count = limits.reference_windows
    if len(found) <= count:
        note = f"nothing to compare yet: {len(found)} of the {count} windows of a reference"
        return Windows(None, [], _with_waiting(note, known, found))
    first = Window(
        found[0].start_on,
        found[count - 1].end_on,
        pl.concat([window.rows for window in found[:count]]),
    )
    note = f"reference: the first {count} windows, {first.rows.height:,} rows"
    return Windows(first, found[count:], _with_waiting(note, known, found))


def _windows(known: pl.DataFrame, start_on: date, limits: Limits, as_of_on: date) -> list[Window]:
    """Blocks of days, joined until they hold enough rows."""
    block = (pl.col("at_on") - start_on).dt.total_days() // limits.window_days
    counts = known.group_by(block=block).agg(rows=pl.len()).sort("block")
    found, rows, first_on = [], 0, start_on
    for number, more in counts.iter_rows():  # a block is a week, not a row
        rows += more
        end_on = start_on + timedelta(days=(number + 1) * limits.window_days)
        if rows < limits.min_rows or end_on > as_of_on:
            continue
        inside = known.filter(pl.col("at_on").is_between(first_on, end_on, closed="left"))
        once = inside.unique("row_id", keep="last", maintain_order=True)
        if once.height >= limits.min_rows:
            found.append(Window(first_on, end_on, once))
            rows, first_on = 0, end_on
    return found


def _with_waiting(note: str, known: pl.DataFrame, found: list[Window]) -> str:
    after = known.filter(pl.col("at_on") >= found[-1].end_on) if found else known
    return f"{note}; {after.height:,} rows wait for their window to be full"
