"""Help for the person on a case from what others decided; what was recommended is kept.

What a person may still change lies elsewhere: ``smallest_change.py`` tries corrections. A case of
the random sample gets no help before its answer.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from prebill.bootstrap import Installation
from prebill.core.scoring.labels import SAMPLE
from prebill.core.triage.agreement import agreement
from prebill.core.triage.recommend import (
    LEAST_VERDICTS,
    Recommendation,
    is_withheld,
    learn,
    recommend,
)
from prebill.core.triage.resolutions import once_a_case
from prebill.core.triage.routing import Routing, first_routings, usual_routing
from prebill.core.triage.similar import most_similar
from prebill.store import assistance as sql
from prebill.store.engine import Row, Tx
from prebill.workflows.candidates import CORRECTABLE

_CORRECTABLE: Final = frozenset(CORRECTABLE)
#: Learnt anew once there are so many times the verdicts that the model knows.
_GROWTH: Final = 1.1
#: Cases kept in one transaction when older verdicts are taken in.
_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Assistance:
    """What others decided says of one case.

    ``recommendation`` is null where it is withheld. ``similar`` has rows of ``RESOLUTIONS`` and
    ``distance``.
    """

    recommendation: Recommendation | None
    is_withheld: bool
    similar: pl.DataFrame
    routing: Routing | None


def assistance_of(tx: Tx, case: Row, withheld_share: float) -> Assistance | None:
    """Read what helps with a case; None: it is of the sample, and nobody answered it yet.

    Parameters
    ----------
    tx : Tx
        Open transaction.
    case : Row
        ``case_id, kind, status``.
    withheld_share : float
        Share of cases in which nothing is recommended.
    """
    if case["kind"] == SAMPLE and case["status"] == "open":
        return None
    facts = sql.case_facts(tx, case["case_id"])
    codes = facts["codes"][0].split(",") if facts.height else []
    customer_id = facts["customer_id"][0] if facts.height else None
    resolved = sql.candidates(tx, codes, customer_id)
    is_hidden = is_withheld(case["case_id"], withheld_share) and case["status"] == "open"
    told = None
    if facts.height and not is_hidden and case["kind"] != SAMPLE:
        told = recommend(facts, sql.live_recommender(tx)[1], _CORRECTABLE)
    return Assistance(
        recommendation=told,
        is_withheld=is_hidden,
        similar=most_similar(facts, resolved) if facts.height else resolved.clear(),
        routing=usual_routing(codes[0], resolved) if codes else None,
    )


def keep_answer(tx: Tx, opened: Installation, case: Row, verdict: str, *, first_queue: str) -> None:
    """Keep what was recommended on a case and what it taught, in its verdict's transaction.

    ``first_queue`` is where it was opened: closing it forgets whether it was escalated.
    """
    if case["kind"] == SAMPLE:
        return
    facts = sql.case_facts(tx, case["case_id"])
    if facts.height:
        digest, recommender = sql.live_recommender(tx)
        sql.save_recommendation(
            tx,
            case["case_id"],
            recommend(facts, recommender, _CORRECTABLE),
            digest=digest,
            verdict=verdict,
            was_shown=not is_withheld(case["case_id"], opened.settings.withheld_share),
        )
    sql.remember(tx, [case["case_id"]], {case["case_id"]: first_queue})


def learn_again(opened: Installation, now_at: datetime) -> bool:
    """Take in verdicts that were not kept, then learn if there are clearly more than before.

    Returns
    -------
    bool
        Whether a new model is in use.
    """
    with opened.store.read() as tx:
        missing = sql.forgotten(tx, _AT_ONCE)
    while missing:
        with opened.store.transaction() as tx:
            sql.remember(tx, missing)
        with opened.store.read() as tx:
            before, missing = missing, sql.forgotten(tx, _AT_ONCE)
        if missing == before:  # nothing of them can be kept: a verdict without a case's facts
            break
    with opened.store.read() as tx:
        known = sql.live_recommender(tx)[1]
        least = LEAST_VERDICTS if known is None else known.verdicts * _GROWTH
        if sql.verdict_count(tx) < least:
            return False
        resolutions = sql.latest_resolutions(tx)
    recommender = learn(resolutions)
    if recommender is None:
        return False
    with opened.store.transaction() as tx:
        sql.save_recommender(tx, recommender, now_at)
    return True


@dataclass(frozen=True, slots=True)
class AssistanceFigures:
    """How good the help is: ``AGREEMENT`` by group, ``STUCK`` by first queue."""

    agreement: pl.DataFrame
    first_routings: pl.DataFrame

    def lines(self) -> list[str]:
        """One line a group and a queue; nothing where nobody decided yet."""
        agreed = [
            f"as recommended, {row['group']:<19} {_told(row)}; {row['agreed']:,} of "
            f"{row['recommended']:,} recommended, {row['cases']:,} cases"
            for row in self.agreement.filter(pl.col("cases") > 0).iter_rows(named=True)
        ]
        stuck = [
            f"first queue kept, {row['first_queue']:<17} {_told(row)}; {row['stuck']:,} of "
            f"{row['cases']:,} cases"
            for row in self.first_routings.iter_rows(named=True)
        ]
        return [*agreed, *stuck]


def _told(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "nothing recommended yet"
    return f"{row['share']:.1%} ({row['low']:.1%} to {row['high']:.1%})"


def assistance_figures(tx: Tx) -> AssistanceFigures:
    """Measure recommendations and first routings on the latest verdicts."""
    resolved = once_a_case(sql.latest_resolutions(tx))
    return AssistanceFigures(
        agreement=agreement(sql.answers(tx)),
        first_routings=first_routings(resolved.select("queue", "first_queue")),
    )
