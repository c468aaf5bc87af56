"""Propose the limits of a policy that save most money in the reviewer hours there are.

Chosen on the earlier decisions, told on the later ones. Nothing becomes live by it: what comes out
is a policy text that goes the way of every other.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from prebill.bootstrap import Installation
from prebill.core.errors import InputError
from prebill.core.policy.model import Policy
from prebill.core.policy.optimise import (
    Dial,
    Point,
    Problem,
    curve,
    dials,
    rewritten,
    within,
)
from prebill.core.policy.simulate import decided, with_terms
from prebill.core.scoring.combine import money_of
from prebill.core.triage.sample import inverse_weights
from prebill.workflows.currencies import Rates
from prebill.workflows.policy_simulation import Asked, Question, read_decisions

#: Share of the decisions, by day of issue, on which limits are chosen; the rest measures them.
CHOOSING: Final = 0.67
#: Drafts found wrong, and of these by the sample of released ones, from which labels choose.
LEAST_ERRORS: Final = 100
LEAST_SAMPLED_ERRORS: Final = 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed, and what it is worth.

    ``basis``: labels, or p_error where there are too few. Points are per cycle (calendar month of
    issue) in major units of ``currency``: ``curve`` and ``chosen`` on the decisions that chose,
    ``before`` and ``after`` on the later ones, which did not; ``validated_from`` is their first day
    (None: all decisions are of one day, so that nothing validates).
    """

    text: str
    basis: str
    currency: str
    moving: list[Dial]
    curve: list[Point]
    chosen: Point
    before: Point
    after: Point
    validated_from: date | None
    notes: list[str]


def optimised(
    opened: Installation, content: str, hours: float, question: Question, name: str
) -> Proposal:
    """Propose limits for a policy text.

    Parameters
    ----------
    opened : Installation
        With decisions.
    content : str
        The policy whose limits may move.
    hours : float
        Of reviewers in a cycle.
    question : Question
        Which decisions.
    name : str
        Of the proposed policy.

    Raises
    ------
    InputError
        No rule of the policy has a limit to move, or nothing was decided yet.
    """
    policy, moving = Policy.parse(content), dials(content)
    if not moving:
        message = "no rule that asks for a review compares a score or a loss: nothing can be moved"
        raise InputError(message)
    asked = read_decisions(opened, question)
    weighed, basis, notes = _weighed(asked, policy)
    rows = weighed.with_columns(
        is_fixed=decided(weighed, asked.given.findings, _without(content, moving))["action"]
        != "release"
    )
    problem = Problem.of(rows, moving)
    split = _split(rows)
    early = np.ones(rows.height, dtype=bool) if split is None else _before(rows, split)
    choosing = problem.part(early)
    # Of the whole, the rows that chose: cycles are counted by their share of the drafts.
    cycles = rows["cycle"].n_unique()
    cycles_early = max(cycles * float(early.mean()), 1e-9)
    chosen = within(choosing, hours * cycles_early)
    later = problem if split is None else problem.part(~early)
    cycles_later = cycles if split is None else max(cycles * float(1 - early.mean()), 1e-9)
    present = {dial.rule_id: dial.limit for dial in moving}
    if split is None:
        notes.append("All decisions are of one day: nothing later validates the proposal.")
    return Proposal(
        text=rewritten(content, chosen.limits, name),
        basis=basis,
        currency=asked.rates.currency,
        moving=moving,
        curve=[_scaled(point, cycles_early) for point in curve(choosing)],
        chosen=_scaled(chosen, cycles_early),
        before=_scaled(later.at(present), cycles_later),
        after=_scaled(later.at(chosen.limits, chosen.hour_worth), cycles_later),
        validated_from=split,
        notes=notes,
    )


def _scaled(point: Point, cycles: float) -> Point:
    return replace(point, hours=point.hours / cycles, saved=point.saved / cycles)


def _without(content: str, moving: list[Dial]) -> Policy:
    """The policy with limits that nothing reaches: what it stops is stopped whatever they are."""
    far = {dial.rule_id: 1.0 if dial.is_score else 1e15 for dial in moving}
    return Policy.parse(rewritten(content, far, "fixed"))


def _split(rows: pl.DataFrame) -> date | None:
    """The first day of the part that validates; None: there is one day only."""
    days: list[date] = rows["day"].unique().sort().to_list()
    counted = rows["day"].sort()
    split: date = counted[int(rows.height * CHOOSING)]
    return next((day for day in days[1:] if day >= split), None)


def _before(rows: pl.DataFrame, day: date) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return (rows["day"] < day).to_numpy()


def _weighed(asked: Asked, policy: Policy) -> tuple[pl.DataFrame, str, list[str]]:
    """Rows with ``worth, hours, day, cycle``: by what labels told where they suffice."""
    rows = with_terms(asked.given.rows, policy)
    rows = rows.with_columns(money_of(policy, "saved_minor", "expected_loss_minor"))
    minutes = policy.review_minutes if asked.minutes is None else asked.minutes
    day = pl.coalesce("issued_on", pl.col("decided_at").dt.date())
    rows = rows.with_columns(
        day=day, cycle=day.dt.strftime("%Y-%m"), hours=pl.lit(minutes / 60), weight=pl.lit(1.0)
    )
    is_stopped = pl.col("action") != "release"
    is_sampled = ~is_stopped & pl.col("propensity").is_not_null()
    known = rows.filter(pl.col("is_error").is_not_null(), is_stopped | is_sampled)
    wrong = known.filter("is_error")
    sampled = wrong.filter(pl.col("action") == "release").height
    unknown = [one for one in rows["currency"].unique().sort() if not asked.rates.knows(one)]
    notes = [f"No exchange rate for {', '.join(unknown)}: saves nothing here."] if unknown else []
    if wrong.height < LEAST_ERRORS or sampled < LEAST_SAMPLED_ERRORS:
        notes.append(
            f"Labels are too few ({wrong.height} wrong of the {LEAST_ERRORS} needed, {sampled} of "
            f"{LEAST_SAMPLED_ERRORS} by the sample): P(error) says what looking saves. Where that "
            "is a stated prior, so is the money."
        )
        return rows.with_columns(worth=_worth(asked.rates, pl.col("saved_minor"))), "p_error", notes
    weights = inverse_weights(pl.col("propensity"))
    released = known.filter(is_sampled).with_columns(weight=weights)
    # The sample stands for all that was released, whatever the clipping of its weights took away.
    whole = rows.filter(~is_stopped).height / float(released["weight"].sum())
    released = released.with_columns(pl.col("weight") * whole)
    labelled = pl.concat([known.filter(is_stopped), released])
    at_stake = pl.col("over_minor") * policy.cost_over + pl.col("under_minor") * policy.cost_under
    saved = pl.when("is_error").then(at_stake.fill_null(0.0)).otherwise(0.0) * pl.col("weight")
    weighed = labelled.with_columns(
        worth=_worth(asked.rates, saved), hours=pl.col("hours") * pl.col("weight")
    )
    return weighed, "labels", notes


def _worth(rates: Rates, amount_minor: pl.Expr) -> pl.Expr:
    return (amount_minor.cast(pl.Float64) * rates.factor()).fill_null(0.0)
