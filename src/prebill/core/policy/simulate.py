"""What a candidate policy would have done with stored decisions, beside another one. Pure.

Both policies are asked anew from what was kept with each decision. Models are not: scores stand,
but a stated prior and the costs in the expected loss are each policy's own.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.billing.findings import DETECTOR as BILLING
from prebill.core.errors import InputError
from prebill.core.money import CURRENCY_EXPONENTS
from prebill.core.policy.action import LEVELS, NAMES, Action, in_effect
from prebill.core.policy.failures import DOWN, LATE
from prebill.core.policy.given import FACTS, Given
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import CREDIT_NOTES, INVOICES, PAYMENTS
from prebill.core.scoring.combine import error_probability, money_of
from prebill.core.scoring.exposure import Receivables

#: Release < review < hold, as a column whose order is the ladder's.
ACTION: Final = pl.Enum([action.name.lower() for action in Action])
#: Bounds in major units of the bands of totals.
SIZES: Final = (100, 1_000, 10_000, 100_000)
#: By what moves are told apart → the column; ``rule`` and ``code`` have several values a decision.
SEGMENTS: Final = {
    "class": "policy_class",
    "entity": "entity_id",
    "currency": "currency",
    "size": "size",
    "customer": "customer_id",
}
_SEVERAL: Final = ("rule", "code")
_ARROW: Final = "->"
#: Columns of a list of drafts.
LISTED: Final = (
    *("draft_id", "draft_version", "customer_id", "entity_id", "issued_on", "currency"),
    *("total_minor", "anomaly_score", "p_error", "p_late", "expected_loss_minor", "class"),
    *("action_before", "action_after", "rules_before", "rules_after"),
)
#: What was answered then, and what no policy is given.
_ANSWERED: Final = (
    *("action", "proposed_action", "rules", "policy_class", "policy_hash", *FACTS),
    *("draft_id", "draft_version", "run_id", "decided_at", "is_error", "propensity"),
)
#: What is open was summed up when the draft was judged.
_NO_BOOKS: Final = Receivables(INVOICES.empty(), PAYMENTS.empty(), CREDIT_NOTES.empty())
_TERMS: Final = ("error_prior", "tail_exponent", "cost_over", "cost_under")


@dataclass(frozen=True, slots=True)
class Simulation:
    """Decisions under two policies.

    ``rows``: those of ``Given`` with ``size``, ``action_before, rules_before, action_after,
    rules_after``, ``policy_class`` (the candidate's) and ``minutes_before, minutes_after`` (of a
    reviewer); ``moved``: those on which the policies differ; ``findings`` as given.
    """

    rows: pl.DataFrame
    moved: pl.DataFrame
    findings: pl.DataFrame
    left_out: int


def simulate(given: Given, before: Policy, after: Policy) -> Simulation:
    """Decide all rows under both policies."""
    terms = [tuple(getattr(policy, name) for name in _TERMS) for policy in (before, after)]
    first = with_terms(given.rows, before)
    second = first if terms[0] == terms[1] else with_terms(given.rows, after)
    old, new = decided(first, given.findings, before), decided(second, given.findings, after)
    sides = [
        *_named(old, "before").get_columns(),
        *_named(new, "after").get_columns(),
        new["policy_class"],
    ]
    rows = second.with_columns(sides).with_columns(size=_size())
    moved = rows.filter(pl.col("action_before") != pl.col("action_after"))
    return Simulation(rows, moved, given.findings, given.left_out)


def _named(answers: pl.DataFrame, side: str) -> pl.DataFrame:
    return answers.select(pl.col("action", "rules", "minutes").name.suffix(f"_{side}"))


def decided(rows: pl.DataFrame, findings: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Ask a policy about decisions again.

    Parameters
    ----------
    rows, findings : pl.DataFrame
        Of ``Given``, money by :func:`with_terms`.
    policy : Policy
        Which is asked, its own rules for their reasons too.

    Returns
    -------
    pl.DataFrame, one row per decision, same order
        ``action`` (``ACTION``), ``rules``, ``policy_class`` (text, may be null), ``minutes``.
    """
    asked = rows.drop(_ANSWERED, strict=False)
    reasons = policy.reasons(asked, _NO_BOOKS).select(findings.columns)
    answers = policy.decide(asked, pl.concat([findings, reasons]))
    by_billing = findings.filter(pl.col("detector") == BILLING).select("invoice_id").unique()
    whole = answers.with_columns(rows.select(FACTS).get_columns()).join(
        by_billing.with_columns(is_billing=pl.lit(value=True)),
        on="invoice_id",
        how="left",
        maintain_order="left",
    )
    return whole.select(
        action=_in_effect(policy).replace_strict(NAMES, return_dtype=ACTION),
        rules=pl.when("is_unjudged").then(pl.lit("")).otherwise("rules"),
        policy_class="policy_class",
        minutes=policy.minutes_of(pl.col("policy_class")),
    )


def _in_effect(policy: Policy) -> pl.Expr:
    """The level that takes effect, by rules and then by facts, as a run goes about it."""
    proposed = pl.col("proposed_action").replace_strict(LEVELS, return_dtype=pl.Int64)
    mode, nothing = pl.col("mode"), pl.lit(Action.RELEASE.value)
    # Without scores, rules can only hold for what billing found.
    is_billing = pl.col("is_billing").fill_null(value=False)
    by_billing = pl.when(is_billing).then(pl.max_horizontal(proposed, Action.REVIEW.value))
    down = in_effect(
        pl.lit(policy.failures.state(DOWN).value, pl.Int64), pl.lit(policy.ruling.unjudged_mode)
    )
    by_rules = pl.when("is_unjudged").then(
        pl.max_horizontal(down, in_effect(by_billing.otherwise(nothing), mode))
    )
    late = pl.when("is_usage_late").then(policy.failures.state(LATE).value)
    blocked = pl.when("is_blocked").then(Action.HOLD.value)
    return pl.max_horizontal(
        by_rules.otherwise(in_effect(by_billing.otherwise(proposed), mode)), late, blocked
    )


def with_terms(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """P(error) without labels, and expected loss, by the policy's own prior and costs."""
    if rows["policy_hash"].eq(policy.digest).all():
        return rows
    by_prior = pl.col("p_error_basis") == "prior"
    prior = error_probability(pl.col("anomaly_score"), policy)
    stated = rows.with_columns(p_error=pl.when(by_prior).then(prior).otherwise("p_error"))
    return stated.with_columns(money_of(policy, "saved_minor", "expected_loss_minor")[1])


def _size() -> pl.Expr:
    """The band of the total in major units of its currency."""
    exponent = pl.col("currency").replace_strict(
        CURRENCY_EXPONENTS, default=2, return_dtype=pl.Int64
    )
    major = pl.col("total_minor").abs() / pl.lit(10).pow(exponent)
    names = [f"{low}-{high}" for low, high in zip((0, *SIZES), SIZES, strict=False)]
    band = pl.sum_horizontal((major >= bound).cast(pl.Int64) for bound in SIZES)
    return band.replace_strict(dict(enumerate([*names, f"{SIZES[-1]}+"])), return_dtype=pl.String)


# ── What moves ───────────────────────────────────────────────────────────────────────────────


def table(simulation: Simulation) -> pl.DataFrame:
    """Count decisions and money by action before and after, and by currency.

    Returns
    -------
    pl.DataFrame
        ``action_before, action_after, currency, decisions, total_minor`` (of amounts without their
        sign), ``expected_loss_minor``, ``list``: the expression that lists them.
    """
    counted = _counted(simulation.rows, ["currency"])
    return counted.with_columns(list=_expression("currency", pl.col("currency")))


def moved_by(simulation: Simulation, segment: str, top: int = 20) -> pl.DataFrame:
    """Count what moves by one of ``SEGMENTS``, by ``rule``, or by ``code`` of a finding.

    A rule is named where it hits under one policy and not under the other; where all are the same,
    each that hits. The ``top`` values with most decisions are told.

    Returns
    -------
    pl.DataFrame
        As :func:`table`, with the ``value`` of the segment.
    """
    moved = simulation.moved
    if segment == "rule":
        rows = moved.with_columns(value=_moving_rules()).explode("value")
    elif segment == "code":
        codes = simulation.findings.select("invoice_id", value="code").unique()
        rows = moved.join(codes, on="invoice_id", how="left")
    else:
        rows = moved.with_columns(value=SEGMENTS[segment])
    largest = rows.group_by("value").agg(of_value=pl.len()).sort("of_value", "value").tail(top)
    rows = rows.join(largest.drop("of_value"), on="value", nulls_equal=True)
    counted = _counted(rows, ["value", "currency"])
    named = counted.with_columns(list=_expression(segment, pl.col("value")))
    if segment == "currency":
        return named
    return named.with_columns(list=pl.concat_str("list", pl.format(" currency={}", "currency")))


def _counted(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    actions = ["action_before", "action_after"]
    return (
        rows.group_by(*actions, *by)
        .agg(
            decisions=pl.len().cast(pl.Int64),
            total_minor=pl.col("total_minor").abs().sum(),
            expected_loss_minor=pl.col("expected_loss_minor").sum(),
        )
        .sort(*actions, *by, nulls_last=True)
        .with_columns(pl.col(actions).cast(pl.String))
    )


def _moving_rules() -> pl.Expr:
    before, after = (pl.col(name).str.split(",") for name in ("rules_before", "rules_after"))
    differing = before.list.set_symmetric_difference(after)
    named = differing.list.filter(pl.element() != "")
    every = before.list.set_union(after).list.filter(pl.element() != "")
    return pl.when(named.list.len() > 0).then(named).otherwise(every)


def _expression(segment: str, value: pl.Expr) -> pl.Expr:
    """The expression that :func:`listed` reads; a value with a blank is quoted."""
    text = value.fill_null("")
    needs_quotes = text.str.contains(r"""[\s'"\\]""") | (text == "")
    quoted = pl.format("'{}'", text.str.replace_all("'", """'"'"'""", literal=True))
    return pl.format(
        f"{{}}{_ARROW}{{}} {segment}={{}}",
        "action_before",
        "action_after",
        pl.when(needs_quotes).then(quoted).otherwise(text),
    )


def listed(simulation: Simulation, expression: str) -> pl.DataFrame:
    """List the decisions behind a figure.

    Parameters
    ----------
    simulation : Simulation
        The decisions.
    expression : str
        ``before->after`` (``any`` for either), then ``name=value`` with the names of ``SEGMENTS``,
        ``rule`` or ``code``; for example ``hold->release rule=loss-review currency=EUR``.

    Returns
    -------
    pl.DataFrame
        ``LISTED``, the largest expected loss first.

    Raises
    ------
    InputError
        The expression can't be read.
    """
    rows = simulation.rows
    for place, word in enumerate(_words(expression)):
        if place == 0:
            rows = rows.filter(*_of_actions(word, expression))
            continue
        name, _, value = word.partition("=")
        if name not in (*SEGMENTS, *_SEVERAL) or "=" not in word:
            raise _unreadable(expression, f"{word!r} is not NAME=VALUE")
        rows = _of_segment(simulation, rows, name, value)
    return (
        rows.sort("expected_loss_minor", "draft_id", descending=[True, False])
        .rename({"policy_class": "class"})
        .select(LISTED)
        .with_columns(pl.col("action_before", "action_after").cast(pl.String))
    )


def _words(expression: str) -> Sequence[str]:
    try:
        words = shlex.split(expression)
    except ValueError as error:
        raise _unreadable(expression, str(error)) from error
    if not words:
        raise _unreadable(expression, "it is empty")
    return words


def _of_actions(word: str, expression: str) -> list[pl.Expr]:
    sides = word.split(_ARROW)
    known = ["any", *ACTION.categories]
    if len(sides) != 2 or any(side not in known for side in sides):
        raise _unreadable(expression, f"{word!r} is not like hold->release")
    names = ("action_before", "action_after")
    return [pl.col(name) == side for name, side in zip(names, sides, strict=True) if side != "any"]


def _of_segment(simulation: Simulation, rows: pl.DataFrame, name: str, value: str) -> pl.DataFrame:
    if name == "rule":
        named = _moving_rules()
        return rows.filter(named.list.contains(value) if value else named.list.len() == 0)
    if name == "code":
        if not value:
            return rows.join(simulation.findings, on="invoice_id", how="anti")
        having = simulation.findings.filter(pl.col("code") == value)
        return rows.join(having, on="invoice_id", how="semi")
    column = pl.col(SEGMENTS[name])
    return rows.filter(column == value if value else column.is_null())


def _unreadable(expression: str, why: str) -> InputError:
    names = ", ".join((*SEGMENTS, *_SEVERAL))
    message = (
        f"can't list {expression!r}: {why}; write BEFORE->AFTER and then NAME=VALUE with {names}"
    )
    return InputError(message, expression=expression)
