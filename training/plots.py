"""Plots as SVG text, for the report and for MLflow. No library, no script, light and dark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import polars as pl

_WIDTH, _HEIGHT = 460, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 24, 14, 46
#: Line colours that stay apart for the colour-blind, on white and on black (Okabe and Ito).
_COLORS: Final = ("#0072b2", "#d55e00", "#009e73")
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:currentColor}"
    ".axis{stroke:currentColor;stroke-width:1}.grid{stroke:currentColor;opacity:.15}"
    ".ideal{stroke:currentColor;stroke-dasharray:4 4;opacity:.6;fill:none}"
)
#: The least share that a logarithmic axis shows.
_LEAST: Final = 0.001


@dataclass(frozen=True, slots=True)
class Axes:
    """Titles of both axes, their ticks (shares), and whether they are logarithmic."""

    x_title: str
    y_title: str
    ticks: Sequence[float]
    is_log: bool = False

    def x(self, value: float) -> float:
        """Where a share lies from the left."""
        return _LEFT + self._place(value) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Where a share lies from the top."""
        return _HEIGHT - _BOTTOM - self._place(value) * (_HEIGHT - _TOP - _BOTTOM)

    def _place(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.is_log:
            value, low, high = (math.log(max(one, _LEAST)) for one in (value, low, high))
        return min(max((value - low) / (high - low), 0.0), 1.0)


def calibration_svg(table: pl.DataFrame, axes: Axes) -> str:
    """Draw what was said against what came, with 95 % intervals; on the diagonal is right."""
    first, last = axes.ticks[0], axes.ticks[-1]
    start, end = (
        f"{axes.x(first):.1f} {axes.y(first):.1f}",
        f"{axes.x(last):.1f} {axes.y(last):.1f}",
    )
    marks = [f'<path class="ideal" d="M{start}L{end}"/>']
    for row in table.iter_rows(named=True):
        x, y = axes.x(row["said"]), axes.y(row["observed"])
        low, high = axes.y(row["low"]), axes.y(row["high"])
        told = (
            f"said {row['said']:.3f}, came {row['observed']:.3f} "
            f"({row['low']:.3f} to {row['high']:.3f}), {row['rows']:,} rows"
        )
        marks.append(
            f'<g stroke="{_COLORS[0]}" fill="{_COLORS[0]}"><title>{escape(told)}</title>'
            f'<path d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} '
            f'{high:.1f}h8" fill="none" stroke-width="1.5"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/></g>'
        )
    return _drawn(axes, marks, "Calibration")


def money_svg(curves: Mapping[str, pl.DataFrame], axes: Axes, budget: float) -> str:
    """Draw the share of money caught against the share looked at; the budget is a vertical line."""
    at = axes.x(budget)
    marks = [
        f'<path class="ideal" d="M{at:.1f} {axes.y(0):.1f}V{axes.y(1):.1f}"/>',
        f'<text x="{at + 4:.1f}" y="{axes.y(0) - 6:.1f}">budget {budget:.0%}</text>',
    ]
    for index, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in curve.iter_rows())
        color = _COLORS[index % len(_COLORS)]
        dash = ' stroke-dasharray="7 3"' if index else ""
        y = axes.y(0.32) + 18 * index
        x = axes.x(0.52)
        marks.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'
            f'<path d="M{x:.1f} {y:.1f}h22" stroke="{color}" stroke-width="2"{dash}/>'
            f'<text x="{x + 28:.1f}" y="{y + 4:.1f}">{escape(name)}</text>'
        )
    return _drawn(axes, marks, "Money caught")


def _drawn(axes: Axes, marks: Sequence[str], title: str) -> str:
    parts = []
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for tick in axes.ticks:
        x, y = axes.x(tick), axes.y(tick)
        parts.append(
            f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}M{_LEFT} {y:.1f}H{right}"/>'
            f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{_percent(tick)}</text>'
            f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_percent(tick)}</text>'
        )
    middle, half = (_LEFT + right) // 2, (_TOP + bottom) // 2
    x_title, y_title = escape(axes.x_title), escape(axes.y_title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<style>{_STYLE}</style>{''.join(parts)}"
        f'<path class="axis" fill="none" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>{"".join(marks)}'
        f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{x_title}</text>'
        f'<text x="14" y="{half}" text-anchor="middle" transform="rotate(-90 14 {half})">'
        f"{y_title}</text></svg>"
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 or share == 0 else f"{share:.1%}"
