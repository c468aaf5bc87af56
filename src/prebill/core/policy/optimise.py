"""Which thresholds save most money for the reviewer hours there are. Pure.

Moved are the limits of rules ``score_at_least`` and ``loss_at_least`` that ask for a review; all
else stays. An hour has one price: at it a draft is worth looking at if it saves more than its
minutes cost, and each limit is where the drafts beyond it pay. The price is raised until the hours
suffice, so that it is what one more hour would save (Everett, Operations Research 11, 1963).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
import yaml

from prebill.core.errors import PolicyError
from prebill.core.money import CURRENCY_EXPONENTS

_FLOATS = np.ndarray[tuple[int], np.dtype[np.float64]]
_FLAGS = np.ndarray[tuple[int], np.dtype[np.bool_]]
_PLACES = np.ndarray[tuple[int], np.dtype[np.int64]]
#: Prices that draw the curve.
PRICES: Final = 24
#: Rounds in which each limit is set while the others stand; they settle in two or three.
_ROUNDS: Final = 6
_HALVINGS: Final = 30
#: Figures of a proposed limit: more than these nobody would write.
_FIGURES: Final = 4
#: Places at which the rest of the hours may end: rows of one value go together.
_TRIED: Final = 20
#: At it nothing pays.
_DEAREST: Final = 1e15


@dataclass(frozen=True, slots=True)
class Dial:
    """A rule whose limit may move: what it compares (null: it never hits) and the limit now."""

    rule_id: str
    measure: pl.Expr
    limit: float
    #: A score is in [0, 1], and its limit is written by its distance from 1.
    is_score: bool


@dataclass(frozen=True, slots=True)
class Point:
    """Limits by rule; reviewer hours and money saved by the cases; what one more hour is worth.

    Hours and money are of all rows that were given, or of a cycle where so scaled.
    """

    limits: dict[str, float]
    hours: float
    saved: float
    hour_worth: float


def dials(content: str) -> list[Dial]:
    """Read from a policy text the limits that may move."""
    exponent = pl.col("currency").replace_strict(
        CURRENCY_EXPONENTS, default=2, return_dtype=pl.Int64
    )
    loss = pl.col("expected_loss_minor") / pl.lit(10).pow(exponent)
    found = []
    for rule in yaml.safe_load(content)["rules"]:
        if rule["action"] != "review":
            continue
        if rule["kind"] == "score_at_least":
            measure = pl.col(rule["score"])
            found.append(Dial(rule["id"], measure, float(rule["at_least"]), is_score=True))
        if rule["kind"] == "loss_at_least":
            likely = pl.when(pl.col("p_error") >= rule["min_p_error"]).then(loss)
            found.append(Dial(rule["id"], likely, float(rule["at_least"]), is_score=False))
    return found


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows as numbers.

    ``worth``: money that looking saves; ``hours``: of a reviewer, for all that the row stands for;
    ``is_fixed``: stopped whatever the limits are; ``measures``: one a dial, nan where its rule
    never hits.
    """

    dials: tuple[Dial, ...]
    measures: tuple[_FLOATS, ...]
    worth: _FLOATS
    hours: _FLOATS
    is_fixed: _FLAGS

    @classmethod
    def of(cls, rows: pl.DataFrame, moving: Sequence[Dial]) -> "Problem":
        """Take ``worth, hours, is_fixed`` and what the dials measure from rows."""
        measures = rows.select(
            dial.measure.cast(pl.Float64).fill_null(float("nan")).alias(str(place))
            for place, dial in enumerate(moving)
        )
        return cls(
            tuple(moving),
            tuple(measures[name].to_numpy() for name in measures.columns),
            rows["worth"].to_numpy(),
            rows["hours"].to_numpy(),
            rows["is_fixed"].to_numpy(),
        )

    def part(self, wanted: _FLAGS) -> "Problem":
        """Some of the rows."""
        return replace(
            self,
            measures=tuple(one[wanted] for one in self.measures),
            worth=self.worth[wanted],
            hours=self.hours[wanted],
            is_fixed=self.is_fixed[wanted],
        )

    def stopped(self, limits: Mapping[str, float]) -> _FLAGS:
        """Which rows limits lead to a case for."""
        stopped = self.is_fixed.copy()
        for dial, measure in zip(self.dials, self.measures, strict=True):
            stopped |= measure >= limits[dial.rule_id]
        return stopped

    def at(self, limits: Mapping[str, float], hour_worth: float = 0.0) -> Point:
        """What limits lead to on these rows."""
        stopped = self.stopped(limits)
        hours, saved = self.hours[stopped].sum(), self.worth[stopped].sum()
        return Point(dict(limits), float(hours), float(saved), hour_worth)


def best_limits(problem: Problem, price: float) -> Point:
    """The limits that save most after each reviewer hour is paid at a price."""
    gain = problem.worth - price * problem.hours
    limits = {dial.rule_id: dial.limit for dial in problem.dials}
    orders = [np.argsort(-np.where(np.isnan(one), -np.inf, one)) for one in problem.measures]
    for _ in range(_ROUNDS):
        before = dict(limits)
        for place, dial in enumerate(problem.dials):
            others = problem.is_fixed.copy()
            for other, measure in zip(problem.dials, problem.measures, strict=True):
                if other.rule_id != dial.rule_id:
                    others |= measure >= limits[other.rule_id]
            measure = problem.measures[place]
            limits[dial.rule_id] = _best(dial, measure, np.where(others, 0.0, gain), orders[place])
        if limits == before:
            break
    return problem.at(limits, price)


def _best(dial: Dial, measure: _FLOATS, gain: _FLOATS, order: _PLACES) -> float:
    """The limit beyond which the gains sum to most; where none pays, one that nothing reaches."""
    ranked = measure[order]
    known = int(np.count_nonzero(~np.isnan(ranked)))
    if not known:
        return dial.limit
    values, sums = ranked[:known], np.cumsum(gain[order[:known]])
    # A limit takes all rows of one value or none of them.
    is_end = np.append(values[1:] != values[:-1], True)
    ends, totals = values[is_end], sums[is_end]
    place = int(np.argmax(totals))
    if totals[place] <= 0:
        return 1.0 if dial.is_score else _written(dial, float(values[0]) * 2 + 1)
    return _written(dial, float(ends[place]))


def _written(dial: Dial, limit: float) -> float:
    """Round down to few figures, of a score those of its distance from 1: it takes as many."""
    distance = 1.0 - limit if dial.is_score else limit
    if distance <= 0:
        return limit
    step = 10.0 ** (np.floor(np.log10(distance)) - _FIGURES + 1)
    places = max(0, -int(np.log10(step) - 0.5))
    rounded = float(
        1.0 - np.ceil(distance / step) * step if dial.is_score else np.floor(limit / step) * step
    )
    return min(max(round(rounded, places), 0.0), limit)


def curve(problem: Problem, least_price: float = 0.0) -> list[Point]:
    """Points from few hours to many, each the best for its price; at least at ``least_price``."""
    open_rows = ~problem.is_fixed & (problem.hours > 0) & (problem.worth > 0)
    if not open_rows.any() or not problem.dials:
        return [best_limits(problem, least_price)]
    rates = problem.worth[open_rows] / problem.hours[open_rows]
    high, low = float(np.quantile(rates, 0.999)), max(float(np.quantile(rates, 0.02)), least_price)
    prices = np.geomspace(max(high, low, 1e-9), max(low, 1e-9), PRICES)
    points = [best_limits(problem, float(price)) for price in prices]
    kept: list[Point] = []
    for point in sorted(points, key=lambda one: (one.hours, -one.saved)):
        if not kept or point.saved > kept[-1].saved:
            kept.append(point)
    return kept


def within(problem: Problem, hours: float, least_price: float = 0.0) -> Point:
    """The best limits that need no more than so many hours; the fewest where even these exceed it.

    The price is found by halving between one that takes too many hours and one that doesn't.
    """
    cheap = best_limits(problem, least_price)
    if cheap.hours <= hours or not problem.dials:
        return cheap
    points = curve(problem, least_price)
    fitting = [point for point in points if point.hours <= hours]
    if not fitting:
        return best_limits(problem, _DEAREST)
    best = max(fitting, key=lambda one: one.saved)
    low = max((p.hour_worth for p in points if p.hours > hours), default=least_price)
    high = best.hour_worth
    for _ in range(_HALVINGS if high > low else 0):
        price = (low * high) ** 0.5 if low > 0 else high / 2
        tried = best_limits(problem, price)
        if tried.hours > hours:
            low = price
            continue
        high = price
        if tried.saved >= best.saved:
            best = tried
    return _filled(problem, best, hours)


def _filled(problem: Problem, point: Point, hours: float) -> Point:
    """Spend what one price for all leaves over: lower the one limit that gains most by it."""
    stopped = problem.stopped(point.limits)
    best = point
    for dial, measure in zip(problem.dials, problem.measures, strict=True):
        order = np.argsort(-np.where(np.isnan(measure) | stopped, -np.inf, measure))
        order = order[: np.count_nonzero(~np.isnan(measure) & ~stopped)]
        values, spent = measure[order], np.cumsum(problem.hours[order])
        for value in values[spent <= hours - point.hours][::-1][:_TRIED]:
            limit = min(_written(dial, float(value)), point.limits[dial.rule_id])
            tried = problem.at({**point.limits, dial.rule_id: limit}, point.hour_worth)
            if tried.hours <= hours:
                best = max(best, tried, key=lambda one: one.saved)
                break
    return best


def rewritten(content: str, limits: Mapping[str, float], name: str) -> str:
    """A policy text with other limits and another name; comments, order and all else stay.

    Raises
    ------
    PolicyError
        A rule has no limit of its own in the text.
    """
    root = yaml.compose(content)
    changes = [(_value(root, "name"), yaml.safe_dump(name).splitlines()[0])]
    for rule in _value(root, "rules").value:
        rule_id = str(_value(rule, "id").value)
        if rule_id in limits:
            changes.append((_value(rule, "at_least"), f"{limits[rule_id]:.12f}".rstrip("0") + "0"))
    if len(changes) != len(limits) + 1:
        message = f"not every rule of {', '.join(limits)} stands in the text"
        raise PolicyError(message, where="rules")
    for node, text in sorted(changes, key=lambda one: -one[0].start_mark.index):
        content = content[: node.start_mark.index] + text + content[node.end_mark.index :]
    return content


def _value(mapping: yaml.Node | None, key: str) -> yaml.Node:
    pairs: list[tuple[yaml.Node, yaml.Node]] = [] if mapping is None else mapping.value
    for name, value in pairs:
        if name.value == key:
            return value
    message = f"the policy text has no {key}"
    raise PolicyError(message, where=key)
