"""Geometry of the console's charts, drawn as SVG by the templates; amounts in, positions out.

Positions are shares of the drawing (0 to 100): the drawing stretches, the words stay HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FULL: Final = 100.0


@dataclass(frozen=True, slots=True)
class CompareBar:
    """Billed against expected on one scale: the common part, then what is over or under."""

    start: float
    common: float
    edge: float
    over: float
    under: float


@dataclass(frozen=True, slots=True)
class Column:
    """One past invoice: a bar from ``y`` to the base line."""

    x: float
    width: float
    y: float
    height: float
    label: str
    short_label: str
    hint: str
    is_present: bool


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """The past invoices with the present draft as the last bar."""

    columns: tuple[Column, ...]
    base_y: float
    median_y: float
    top_label: str
    median_label: str
    summary: str


def compare_bars(pairs: Sequence[tuple[int, int]]) -> list[CompareBar]:
    """Place (expected, billed) pairs on one common scale that includes zero.

    Examples
    --------
    >>> compare_bars([(100, 200)])[0]
    CompareBar(start=0.0, common=50.0, edge=50.0, over=50.0, under=0.0)
    """
    values = [value for pair in pairs for value in pair] + [0]
    low, high = min(values), max(values)
    span = (high - low) or 1
    return [_compare_bar(expected, billed, low, span) for expected, billed in pairs]


def _compare_bar(expected: int, billed: int, low: int, span: int) -> CompareBar:
    def place(value: int) -> float:
        return (value - low) * FULL / span

    zero = place(0)
    same_side = (expected >= 0) == (billed >= 0)
    near = min(expected, billed, key=abs) if same_side else 0
    start, edge = sorted((zero, place(near)))
    gap_start, gap_end = sorted(
        (
            place(near if same_side else expected),
            place(max(expected, billed, key=abs) if same_side else billed),
        )
    )
    gap = gap_end - gap_start
    is_over = billed > expected
    return CompareBar(
        start=start,
        common=edge - start,
        edge=gap_start,
        over=gap if is_over else 0.0,
        under=0.0 if is_over else gap,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """What a column stands for, before it has a place."""

    amount_minor: int
    label: str
    short_label: str
    hint: str
    is_present: bool


def history_chart(
    bars: Sequence[Bar], *, median_minor: int, top_label: str, median_label: str, summary: str
) -> HistoryChart:
    """Place the columns on a scale that includes zero and every amount."""
    low = min(0, *(bar.amount_minor for bar in bars))
    high = max(0, *(bar.amount_minor for bar in bars))
    span = (high - low) or 1
    slot = FULL / len(bars)

    def place(amount_minor: int) -> float:
        return (high - amount_minor) * FULL / span

    base_y = place(0)
    columns = [
        Column(
            x=index * slot + slot * 0.14,
            width=slot * 0.72,
            y=min(place(bar.amount_minor), base_y),
            height=max(abs(place(bar.amount_minor) - base_y), 0.6),
            label=bar.label,
            short_label=bar.short_label,
            hint=bar.hint,
            is_present=bar.is_present,
        )
        for index, bar in enumerate(bars)
    ]
    return HistoryChart(
        columns=tuple(columns),
        base_y=base_y,
        median_y=place(median_minor),
        top_label=top_label,
        median_label=median_label,
        summary=summary,
    )
