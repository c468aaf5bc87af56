"""Ask a candidate policy about all stored decisions, and say what it would change.

Gathers decisions and labels, compares (pure), sums up. Nothing is stored and no action changes. A
shadow is the same over the decisions since a candidate was named: it costs live traffic nothing.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import polars as pl

from prebill.bootstrap import Installation
from prebill.core.errors import InputError
from prebill.core.forecasts.workload import minutes_per_case
from prebill.core.money import exponent_of
from prebill.core.policy.given import Given, given_of
from prebill.core.policy.model import Policy
from prebill.core.policy.simulate import SEGMENTS, Simulation, moved_by, simulate, table
from prebill.core.triage.backlog import breaching_share
from prebill.core.triage.policy_quality import policy_quality
from prebill.store.lake_index import named_batches
from prebill.store.outcomes import error_labels
from prebill.store.workload import verdict_times
from prebill.workflows.currencies import Rates, rates_of

#: Hours a day of all reviewers together, where nobody says otherwise.
HOURS_PER_DAY: Final = 8.0
#: By what moves are told apart, beside the segments of a draft.
BY: Final = ("rule", "code", *SEGMENTS)
_SIDES: Final = ("before", "after")
_STOPPED: Final = ("review", "hold")


@dataclass(frozen=True, slots=True)
class Question:
    """Which decisions are asked about, and by which reviewers cases are worked.

    ``since_on``: drafts to be issued from that day on; ``since_at``: decisions from that instant on
    (a shadow). ``currency``: in which sums over several currencies are told; None: that of most
    legal entities, else of most drafts.
    """

    today: date
    since_on: date | None = None
    since_at: datetime | None = None
    hours_per_day: float = HOURS_PER_DAY
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was read: decisions with what is known of their outcome, rates, minutes a case."""

    given: Given
    rates: Rates
    #: Median between two verdicts; None: too few, the policy's minutes are taken.
    minutes: float | None


@dataclass(frozen=True, slots=True)
class PolicyEffect:
    """The decisions under both policies, and the summary that an interface shows."""

    simulation: Simulation
    summary: dict[str, Any] = field(repr=False)


def simulated(opened: Installation, candidate: Policy) -> dict[str, object]:
    """What a candidate would change against the live policy, as JSON can hold it."""
    live = opened.load_policy()
    today = datetime.now().astimezone().date()
    return effect_of(opened, live, candidate, Question(today)).summary


def effect_of(
    opened: Installation, before: Policy, after: Policy, question: Question
) -> PolicyEffect:
    """Simulate one policy against another over the stored decisions.

    Raises
    ------
    InputError
        There is no decision to ask about; the message says since when there are.
    """
    reads = before.ruling.reads_circumstances or after.ruling.reads_circumstances
    asked = read_decisions(opened, question, circumstances=reads)
    simulation = simulate(asked.given, before, after)
    return PolicyEffect(simulation, _summary(simulation, before, after, asked, question))


def read_decisions(
    opened: Installation, question: Question, *, circumstances: bool = True
) -> Asked:
    """Read what policies were given, each decision with ``is_error, propensity`` of its label."""
    with opened.store.read() as tx:
        batches = named_batches(tx, "decisions")
        labels = error_labels(tx, question.today)
        verdicts = verdict_times(tx, before_at=_end_of(question.today))
    with opened.lake.reading():
        stored = opened.lake.scan("decisions", batches)
        given = given_of(stored, labels, question.since_on, circumstances=circumstances)
    rows = given.rows
    if question.since_at is not None:
        rows = rows.filter(pl.col("decided_at") >= question.since_at)
    if rows.is_empty():
        raise _nothing(given, question)
    rows = _with_labels(rows, labels)
    usual = str(rows["currency"].mode().sort()[0])
    with opened.store.read() as tx:
        rates = rates_of(tx, question.currency, question.today, otherwise=usual)
    return Asked(Given(rows, given.findings, given.left_out), rates, minutes_per_case(verdicts))


def _with_labels(rows: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    keys, told = ["draft_id", "draft_version"], ["is_error", "propensity"]
    if labels.is_empty():  # a million rows are compared with nothing
        return rows.with_columns(pl.lit(None, labels.schema[name]).alias(name) for name in told)
    return rows.join(labels.select(*keys, *told), on=keys, how="left", maintain_order="left")


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max).astimezone()


def _nothing(given: Given, question: Question) -> InputError:
    if not given.rows.is_empty():
        message = f"no decision since {question.since_at or question.since_on}"
    elif given.left_out:
        message = (
            f"none of {given.left_out:,} decisions can be simulated: an older program made them "
            "and kept no findings with them; what is decided from now on can be"
        )
    else:
        message = "nothing was decided yet: bill a month, or send drafts to the gate"
    return InputError(message, left_out=given.left_out)


# ── Summary ──────────────────────────────────────────────────────────────────────────────────


def _summary(
    simulation: Simulation, before: Policy, after: Policy, asked: Asked, question: Question
) -> dict[str, Any]:
    rows = simulation.rows
    money = _money(rows)
    reporting = _reporting(money, asked.rates)
    quality = {side: policy_quality(rows, f"action_{side}").as_json() for side in _SIDES}
    return {
        "candidate": {"name": after.name, "digest": after.digest},
        "against": {"name": before.name, "digest": before.digest},
        "decisions": rows.height,
        "left_out": simulation.left_out,
        "from": _text(rows["issued_on"].min()),
        "until": _text(rows["issued_on"].max()),
        "decided_since": _text(rows["decided_at"].min()),
        "moves": table(simulation).to_dicts(),
        "moved": simulation.moved.height,
        "moved_by": {name: moved_by(simulation, name).to_dicts() for name in BY},
        "stopped": {side: _actions(rows, side) for side in _SIDES},
        "money": money,
        "reporting": reporting,
        "quality": quality,
        "work": _work(rows, asked.minutes),
        "sla": _sla(rows, before, after, asked=asked, question=question),
        "notes": [
            *_notes(simulation, quality["after"]["unseen"], reporting),
            *(["Payment figures of natural persons are taken as they were judged then."])
            * (before.judges_persons != after.judges_persons),
        ],
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _actions(rows: pl.DataFrame, side: str) -> dict[str, int]:
    counts = dict(rows[f"action_{side}"].cast(pl.String).value_counts().iter_rows())
    return {action: counts.get(action, 0) for action in ("release", *_STOPPED)}


def _money(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """By currency: totals that are stopped, expected loss that is stopped and let through."""
    lost, total = pl.col("expected_loss_minor"), pl.col("total_minor").abs()
    columns = []
    for side in _SIDES:
        is_stopped = pl.col(f"action_{side}") != "release"
        columns += [
            total.filter(is_stopped).sum().alias(f"stopped_{side}_minor"),
            lost.filter(is_stopped).sum().alias(f"loss_stopped_{side}_minor"),
            lost.filter(~is_stopped).sum().alias(f"loss_let_through_{side}_minor"),
        ]
    return rows.group_by("currency").agg(columns).sort("currency").to_dicts()


def _reporting(by_currency: list[dict[str, Any]], rates: Rates) -> dict[str, Any]:
    """The sums of :func:`_money` in one currency: indicative, nothing of it is posted."""
    names = [name for name in by_currency[0] if name != "currency"]
    sums = {
        name.removesuffix("_minor"): str(
            sum(
                (rates.converted(one[name], one["currency"]) or Decimal(0) for one in by_currency),
                Decimal(0),
            ).quantize(Decimal(1).scaleb(-exponent_of(rates.currency)))
        )
        for name in names
    }
    unknown = [one["currency"] for one in by_currency if not rates.knows(one["currency"])]
    return {"currency": rates.currency, **sums, "not_converted": unknown}


def _work(rows: pl.DataFrame, measured: float | None) -> dict[str, Any]:
    """Cases and hours by cycle, the calendar month of issue; the middle one stands for the next."""
    minutes = {side: pl.col(f"minutes_{side}") for side in _SIDES}
    if measured is not None:
        minutes = dict.fromkeys(_SIDES, pl.lit(measured))
    columns = []
    for side in _SIDES:
        is_stopped = pl.col(f"action_{side}") != "release"
        columns.append(is_stopped.sum().cast(pl.Int64).alias(f"cases_{side}"))
        work = pl.when(is_stopped).then(minutes[side]).otherwise(0.0)
        columns.append((work.sum() / 60).alias(f"hours_{side}"))
    cycles = (
        rows.group_by(cycle=_day().dt.strftime("%Y-%m"))
        .agg(pl.len().cast(pl.Int64).alias("drafts"), *columns)
        .sort("cycle")
    )
    names = [name for name in cycles.columns if name.startswith(("cases", "hours"))]
    middle = cycles.select(pl.col(names).median()).row(0, named=True)
    return {"cycles": cycles.to_dicts(), "per_cycle": middle, "measured_minutes": measured}


def _sla(
    rows: pl.DataFrame, before: Policy, after: Policy, *, asked: Asked, question: Question
) -> dict[str, Any]:
    shares: dict[str, float | None] = {}
    for side, policy in zip(_SIDES, (before, after), strict=True):
        minutes = f"minutes_{side}" if asked.minutes is None else pl.lit(asked.minutes)
        cases = rows.filter(pl.col(f"action_{side}") != "release").select(
            "policy_class",
            day=_day(),
            action=pl.col(f"action_{side}").cast(pl.String),
            minutes=minutes,
            opened_at=_day().cast(pl.Datetime("us", "UTC")),
        )
        waits = policy.due_at(cases) - cases["opened_at"]
        cases = cases.with_columns(allowed_hours=waits.dt.total_seconds() / 3600)
        shares[side] = breaching_share(cases, hours_per_day=question.hours_per_day)
    return {"hours_per_day": question.hours_per_day, **shares}


def _day() -> pl.Expr:
    """The day on which a case comes; where nothing could be judged it has no date of issue."""
    return pl.coalesce("issued_on", pl.col("decided_at").dt.date())


def _notes(simulation: Simulation, unseen: int, reporting: dict[str, Any]) -> list[str]:
    notes = ["Missing invoices are cases under any policy and not counted here."]
    if simulation.left_out:
        since = _text(simulation.rows["decided_at"].min())
        notes.append(
            f"{simulation.left_out:,} decisions before {since} are left out: an older program made "
            "them and kept no findings with them."
        )
    if unseen:
        notes.append(
            f"Of {unseen:,} drafts that were released and would be stopped nobody looked at one: "
            "precision and recall can't be told."
        )
    if unknown := reporting["not_converted"]:
        notes.append(
            f"No exchange rate into {reporting['currency']}: {', '.join(unknown)} is in no sum "
            "over currencies."
        )
    return notes
