"""A policy: YAML text, parsed strictly; its hash follows the meaning, not comments and order."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

import polars as pl
import yaml

from prebill.core.errors import PolicyError
from prebill.core.policy.action import Mode
from prebill.core.policy.approvals import Approvals, parse_approvals
from prebill.core.policy.breaker import Breaker, parse_breaker
from prebill.core.policy.classes import InvoiceClass, parse_classes
from prebill.core.policy.collecting import Collecting, parse_collecting
from prebill.core.policy.decide import Ruling, decide, with_class
from prebill.core.policy.failures import Failures, parse_failures
from prebill.core.policy.reading import chosen, keys, number, text, texts
from prebill.core.policy.rules import Rule
from prebill.core.policy.ruleset import (
    Variant,
    rule_of,
    rule_settings,
    score_limits,
    variants_of,
)
from prebill.core.policy.sampling import Sampling, parse_sampling
from prebill.core.policy.service import (
    DEFAULT,
    Breach,
    BusinessCalendar,
    parse_breach,
    parse_calendars,
    parse_sla,
)
from prebill.core.schemas.internal import FINDINGS
from prebill.core.scoring.exposure import Receivables

NEEDED: Final = frozenset(
    {"version", "name", "prior", "costs", "rules", "failures", "routes", "sla_hours"}
)
#: Sections that a policy may leave out.
OPTIONAL: Final = frozenset(
    {
        *("payment_risk", "collections", "sample", "mode", "classes", "calendars", "on_breach"),
        *("approvals", "breaker"),
    }
)
_PRIOR: Final = {"error", "tail_exponent"}
_COSTS: Final = {"over", "under", "review_minutes"}
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """What scores mean. Built by :meth:`parse`; ``digest`` is the SHA-256 of its canonical form."""

    name: str
    digest: str
    error_prior: float
    tail_exponent: float
    cost_over: float
    cost_under: float
    review_minutes: float
    mode: Mode
    classes: tuple[InvoiceClass, ...]
    variants: tuple[Variant, ...]
    failures: Failures
    routes: dict[str, list[str]]
    default_queue: str
    sla_hours: dict[str, float]
    calendars: dict[str, BusinessCalendar]
    on_breach: dict[str, Breach]
    approvals: Approvals
    breaker: Breaker | None
    judges_persons: bool
    collecting: Collecting
    sampling: Sampling
    #: Action → lowest anomaly score that leads to it.
    score_limits: dict[str, float]

    @classmethod
    def parse(cls, content: str) -> "Policy":
        """Read a policy text.

        Raises
        ------
        PolicyError
            Not YAML, an unknown or absent key, a value outside its bounds, a rule id twice.
        """
        document = read_document(content)
        prior = keys(document["prior"], "prior", _PRIOR)
        costs = keys(document["costs"], "costs", _COSTS)
        routes, default_queue = _routes(document)
        listed = rule_settings(document)
        classes = _classes(document)
        return cls(
            name=text(document, "name", "policy"),
            digest=_digest(document),
            error_prior=number(prior, "error", "prior", low=1e-6, high=0.5),
            tail_exponent=number(prior, "tail_exponent", "prior", low=0.05, high=1.0),
            cost_over=number(costs, "over", "costs", high=100.0),
            cost_under=number(costs, "under", "costs", high=100.0),
            review_minutes=number(costs, "review_minutes", "costs", low=0.1),
            mode=_mode(document),
            classes=classes,
            variants=variants_of(listed, classes),
            failures=parse_failures(document["failures"]),
            routes=routes,
            default_queue=default_queue,
            sla_hours=parse_sla(document["sla_hours"], "policy"),
            calendars=_calendars(document),
            on_breach=parse_breach(document.get("on_breach"), "policy"),
            approvals=parse_approvals(document.get("approvals")),
            breaker=parse_breaker(document.get("breaker")),
            judges_persons=_judges_persons(document),
            collecting=parse_collecting(document.get("collections")),
            sampling=parse_sampling(document.get("sample")),
            score_limits=score_limits(listed),
        )

    @classmethod
    def default(cls) -> "Policy":
        """The policy that comes with Prebill."""
        package = resources.files("prebill.core.policy")
        return cls.parse(package.joinpath("default.yaml").read_text(encoding="utf-8"))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as they are for everybody; classes may have other forms."""
        return tuple(one.rule for one in self.variants if not one.only)

    @property
    def ruling(self) -> Ruling:
        """What of the policy decides."""
        return Ruling(self.variants, self.classes, self.failures, self.mode)

    def decide(self, scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
        """Decide what happens to each draft; see :func:`prebill.core.policy.decide.decide`."""
        return decide(scores, findings, self.ruling)

    def reasons(self, scores: pl.DataFrame, receivables: Receivables) -> pl.DataFrame:
        """Say which drafts the policy's own rules object to, and why.

        Parameters
        ----------
        scores : pl.DataFrame, one row per draft
            As for :meth:`decide`, with ``customer_id, issued_on, due_on, days_late_p50, p_never``
            and ``is_person``.
        receivables : Receivables
            What the customers owe.

        Returns
        -------
        pl.DataFrame
            ``FINDINGS``, each by the id of its rule.
        """
        whole = with_class(scores, self.classes)
        said = [
            variant.rule.explain(variant.asked(whole), receivables)
            for variant in self.variants
            if variant.rule.explain
        ]
        return pl.concat([FINDINGS.empty(), *said])

    def minutes(self, scores: pl.DataFrame) -> pl.Series:
        """A reviewer's minutes for each draft, by its class; ``scores`` as for :meth:`decide`."""
        whole = with_class(scores, self.classes)
        return whole.select(review_minutes=self.minutes_of(pl.col("policy_class"))).to_series()

    def minutes_of(self, policy_class: pl.Expr) -> pl.Expr:
        """A reviewer's minutes by the class of a draft; null: none."""
        own = {one.name: one.review_minutes for one in self.classes if one.review_minutes}
        return policy_class.replace_strict(
            own, default=self.review_minutes, return_dtype=pl.Float64
        )

    def queue_of(self, codes: list[str], policy_class: str | None = None) -> str:
        """The queue of one case; see :meth:`queues`."""
        case = pl.DataFrame(
            {"codes": [codes], "policy_class": [policy_class]},
            schema={"codes": pl.List(pl.String), "policy_class": pl.String},
        )
        return str(case.select(self.queues(pl.col("codes"), pl.col("policy_class"))).item())

    def queues(self, codes: pl.Expr, policy_class: pl.Expr) -> pl.Expr:
        """The queue of cases: their class's, else the first route that names a code, in rank order.

        ``codes``: a list of texts; ``policy_class``: null where there is none.
        """
        named = {code: queue for queue, listed in self.routes.items() for code in listed}
        routed = codes.list.eval(
            pl.element().replace_strict(named, default=None, return_dtype=pl.String()).drop_nulls()
        )
        own = {one.name: one.queue for one in self.classes if one.queue}
        by_class = policy_class.replace_strict(own, default=None, return_dtype=pl.String())
        return pl.coalesce(by_class, routed.list.first(), pl.lit(self.default_queue))

    def due_at(self, cases: pl.DataFrame) -> pl.Series:
        """Deadlines, by class in hours of its calendar; of a sampled release in plain hours.

        Parameters
        ----------
        cases : pl.DataFrame
            ``action``, ``policy_class`` (null: not told) and ``opened_at``.
        """
        named = pl.col("policy_class")
        hours = pl.col("action").replace_strict(
            {**self.sla_hours, "release": self.sampling.due_hours}, return_dtype=pl.Float64
        )
        calendar: pl.Expr = pl.lit(DEFAULT if DEFAULT in self.calendars else None, pl.String)
        for one in self.classes:
            is_own = named == one.name
            for action, own in one.sla_hours.items():
                hours = pl.when(is_own & (pl.col("action") == action)).then(own).otherwise(hours)
            if one.calendar:
                calendar = pl.when(is_own).then(pl.lit(one.calendar)).otherwise(calendar)
        asked = cases.select(
            pl.col("opened_at").cast(pl.Datetime("us", "UTC")),
            hours=hours,
            calendar=pl.when(pl.col("action") != "release").then(calendar),
        )
        plain = pl.col("opened_at") + (pl.col("hours") * 3.6e9).round().cast(pl.Int64).cast(
            pl.Duration("us")
        )
        due = asked.select(due_at=plain).to_series()
        for name, one_calendar in self.calendars.items():
            is_in = asked.select(pl.col("calendar").eq_missing(pl.lit(name))).to_series()
            mine = asked.filter(is_in)
            if not mine.is_empty():
                own_due = one_calendar.due_at(mine["opened_at"], mine["hours"])
                due = due.scatter(is_in.arg_true(), own_due)
        return due

    def after_deadline(self, cases: pl.DataFrame) -> pl.Series:
        """What happens to cases whose deadline passed: ``keep``, ``escalate`` or ``release``.

        Parameters
        ----------
        cases : pl.DataFrame
            ``action``, ``policy_class`` (null: not told), ``currency`` and ``total_minor``.
        """
        way = pl.lit("keep")
        for action, breach in self.on_breach.items():
            way = pl.when(pl.col("action") == action).then(breach.of()).otherwise(way)
        for one in self.classes:
            for action, breach in one.on_breach.items():
                is_own = (pl.col("policy_class") == one.name) & (pl.col("action") == action)
                way = pl.when(is_own).then(breach.of()).otherwise(way)
        return cases.with_columns(way=way)["way"]


def read_document(content: str) -> dict[str, object]:
    """Read the text as a mapping of sections.

    Raises
    ------
    PolicyError
        It is not YAML, another version, or has unknown or absent sections.
    """
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:  # a value such as 2026-02-31
        message = f"policy is not YAML: {error}"
        raise PolicyError(message) from error
    if not isinstance(document, dict):
        message = "policy must be a mapping with version, name, prior, costs, rules"
        raise PolicyError(message)
    keys(document, "policy", NEEDED, OPTIONAL)
    if document.get("version") != VERSION:
        message = f"policy version must be {VERSION}, not {document.get('version')!r}"
        raise PolicyError(message, setting="version")
    return document


def _digest(document: Mapping[str, object]) -> str:
    """Of the canonical form; a day is its text, whether it stands in quotes or not."""
    canonical = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _mode(document: Mapping[str, object]) -> Mode:
    return Mode(chosen(document.get("mode", Mode.ENFORCE), tuple(Mode), "mode"))


def _classes(document: Mapping[str, object]) -> tuple[InvoiceClass, ...]:
    """Classes; each calendar that one names must be there."""
    ids = frozenset(str(rule["id"]) for rule in rule_settings(document))
    classes = parse_classes(document.get("classes"), ids)
    calendars = document.get("calendars")
    known = calendars if isinstance(calendars, dict) else {}
    for one in classes:
        if one.calendar is not None:
            chosen(one.calendar, known, f"class {one.name}.calendar")
    return classes


def _calendars(document: Mapping[str, object]) -> dict[str, BusinessCalendar]:
    return parse_calendars(document.get("calendars"))


def _routes(document: Mapping[str, object]) -> tuple[dict[str, list[str]], str]:
    section = document["routes"]
    if not isinstance(section, dict):
        message = "routes must be a mapping"
        raise PolicyError(message, where="routes")
    default_queue = text(section, "default", "routes")
    queues = [name for name in section if name != "default"]
    return {name: texts(section, name, "routes") for name in queues}, default_queue


def _judges_persons(document: Mapping[str, object]) -> bool:
    if "payment_risk" not in document:
        return True
    section = keys(document["payment_risk"], "payment_risk", {"natural_persons"})
    said = chosen(
        section["natural_persons"], ("allowed", "forbidden"), "payment_risk.natural_persons"
    )
    return said == "allowed"


#: Readers of single sections, so that all that is wrong can be told at once.
READERS: Final[tuple[Callable[[Mapping[str, object]], object], ...]] = (
    lambda document: keys(document["prior"], "prior", _PRIOR),
    lambda document: keys(document["costs"], "costs", _COSTS),
    lambda document: parse_failures(document["failures"]),
    _routes,
    _mode,
    _classes,
    _calendars,
    _judges_persons,
    lambda document: parse_sla(document["sla_hours"], "policy"),
    lambda document: parse_breach(document.get("on_breach"), "policy"),
    lambda document: parse_approvals(document.get("approvals")),
    lambda document: parse_breaker(document.get("breaker")),
    lambda document: parse_collecting(document.get("collections")),
    lambda document: parse_sampling(document.get("sample")),
    lambda document: variants_of(rule_settings(document), _classes(document)),
)
__all__ = ["Policy", "read_document", "rule_of"]
