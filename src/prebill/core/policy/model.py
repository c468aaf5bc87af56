"""A policy: YAML text, parsed strictly; its hash follows the meaning, not comments and order."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

import polars as pl
import yaml

from prebill.core.errors import PolicyError
from prebill.core.policy.collecting import Collecting, parse_collecting
from prebill.core.policy.decide import decide
from prebill.core.policy.rules import KINDS, Action, Rule
from prebill.core.policy.rules.base import number, text, texts
from prebill.core.policy.sampling import Sampling, parse_sampling
from prebill.core.schemas.internal import FINDINGS
from prebill.core.scoring.exposure import Receivables

_TOP: Final = {"version", "name", "prior", "costs", "rules", "failures", "routes", "sla_hours"}
_PRIOR: Final = {"error", "tail_exponent"}
_COSTS: Final = {"over", "under", "review_minutes"}
#: Sections that a policy may leave out.
_OPTIONAL: Final = {"payment_risk", "collections", "sample"}
_PAYMENT_RISK: Final = {"natural_persons"}
_VERSION: Final = 1


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
    rules: tuple[Rule, ...]
    failures: dict[str, Action]
    routes: dict[str, list[str]]
    default_queue: str
    sla_hours: dict[str, float]
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
        document = _document(content)
        prior = _section(document, "prior", _PRIOR)
        costs = _section(document, "costs", _COSTS)
        routes, default_queue = _routes(document)
        return cls(
            name=text(document, "name", "policy"),
            digest=_digest(document),
            error_prior=number(prior, "error", "prior", low=1e-6, high=0.5),
            tail_exponent=number(prior, "tail_exponent", "prior", low=0.05, high=1.0),
            cost_over=number(costs, "over", "costs", high=100.0),
            cost_under=number(costs, "under", "costs", high=100.0),
            review_minutes=number(costs, "review_minutes", "costs", low=0.1),
            rules=_rules(document),
            failures=_failures(document),
            routes=routes,
            default_queue=default_queue,
            sla_hours=_sla_hours(document),
            judges_persons=_judges_persons(document),
            collecting=parse_collecting(document.get("collections")),
            sampling=parse_sampling(document.get("sample")),
            score_limits=_score_limits(document),
        )

    @classmethod
    def default(cls) -> "Policy":
        """The policy that comes with Prebill."""
        package = resources.files("prebill.core.policy")
        return cls.parse(package.joinpath("default.yaml").read_text(encoding="utf-8"))

    def decide(self, scores: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
        """Decide what happens to each draft; see :func:`prebill.core.policy.decide.decide`."""
        return decide(scores, findings, self.rules, self.failures)

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
        said = [rule.explain(scores, receivables) for rule in self.rules if rule.explain]
        return pl.concat([FINDINGS.empty(), *said])

    def queue_of(self, codes: list[str]) -> str:
        """The queue of a case: the first route that names one of its codes, in rank order."""
        named = {code: queue for queue, listed in self.routes.items() for code in listed}
        return next((named[code] for code in codes if code in named), self.default_queue)


def _document(content: str) -> dict[str, object]:
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        message = f"policy is not YAML: {error}"
        raise PolicyError(message) from error
    if not isinstance(document, dict):
        message = "policy must be a mapping with version, name, prior, costs, rules"
        raise PolicyError(message)
    _refuse_unknown(document, _TOP | (_OPTIONAL & set(document)), "policy")
    if document.get("version") != _VERSION:
        message = f"policy version must be {_VERSION}, not {document.get('version')!r}"
        raise PolicyError(message)
    return document


def _digest(document: Mapping[str, object]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _refuse_unknown(mapping: Mapping[str, object], known: set[str], where: str) -> None:
    absent = sorted(known - set(mapping))
    unknown = sorted(str(key) for key in mapping if key not in known)
    if absent or unknown:
        parts = [f"unknown keys {unknown}"] * bool(unknown) + [f"absent keys {absent}"] * bool(
            absent
        )
        message = f"{where} has {' and '.join(parts)}"
        raise PolicyError(message, where=where, unknown=unknown, absent=absent)


def _section(document: Mapping[str, object], name: str, known: set[str]) -> Mapping[str, object]:
    section = document[name]
    if not isinstance(section, dict):
        message = f"{name} must be a mapping"
        raise PolicyError(message, where=name)
    if known:
        _refuse_unknown(section, known, name)
    return section


def _action(value: object, where: str) -> Action:
    names = {action.name.lower(): action for action in Action}
    if value not in names:
        message = f"{where}: action must be one of {', '.join(names)}, not {value!r}"
        raise PolicyError(message, where=where)
    return names[str(value)]


def _rules(document: Mapping[str, object]) -> tuple[Rule, ...]:
    listed = document["rules"]
    if not isinstance(listed, list) or not all(isinstance(rule, dict) for rule in listed):
        message = "rules must be a list of mappings"
        raise PolicyError(message, where="rules")
    rules = tuple(_rule(rule) for rule in listed)
    ids = [rule.rule_id for rule in rules]
    twice = sorted({rule_id for rule_id in ids if ids.count(rule_id) > 1})
    if twice:
        message = f"rule ids stand twice: {', '.join(twice)}"
        raise PolicyError(message, where="rules", ids=twice)
    return rules


def _rule(settings: Mapping[str, object]) -> Rule:
    rule_id = text(settings, "id", "a rule")
    kind = KINDS.get(str(settings.get("kind")))
    if kind is None:
        message = f"{rule_id}: unknown kind {settings.get('kind')!r}; known: {', '.join(KINDS)}"
        raise PolicyError(message, where=rule_id)
    _refuse_unknown(settings, {"id", "kind", "action", *kind.settings}, rule_id)
    action = _action(settings["action"], rule_id)
    if action > kind.strictest:
        most = kind.strictest.name.lower()
        message = f"{rule_id}: a rule of kind {kind.name} leads to {most} at most"
        raise PolicyError(message, where=rule_id)
    explain = None if kind.explain is None else kind.explain(settings, rule_id)
    return Rule(rule_id, action, kind.build(settings, rule_id), explain)


def _score_limits(document: Mapping[str, object]) -> dict[str, float]:
    """Read from rules that were parsed already."""
    limits: dict[str, float] = {}
    rules = document["rules"]
    for rule in rules if isinstance(rules, list) else []:
        if rule.get("score") == "anomaly_score":
            action, limit = str(rule["action"]), float(rule["at_least"])
            limits[action] = min(limit, limits.get(action, limit))
    return limits


def _failures(document: Mapping[str, object]) -> dict[str, Action]:
    section = _section(document, "failures", set())
    failures = {str(name): _action(value, f"failures.{name}") for name, value in section.items()}
    if "default" not in failures:
        message = "failures must name a default"
        raise PolicyError(message, where="failures")
    released = [name for name, action in failures.items() if action is Action.RELEASE]
    if released:
        message = f"failures of {', '.join(released)} may not release: a judge failed"
        raise PolicyError(message, where="failures")
    return failures


def _routes(document: Mapping[str, object]) -> tuple[dict[str, list[str]], str]:
    section = _section(document, "routes", set())
    default_queue = text(section, "default", "routes")
    queues = [name for name in section if name != "default"]
    return {name: texts(section, name, "routes") for name in queues}, default_queue


def _judges_persons(document: Mapping[str, object]) -> bool:
    if "payment_risk" not in document:
        return True
    said = _section(document, "payment_risk", _PAYMENT_RISK)["natural_persons"]
    if said not in ("allowed", "forbidden"):
        message = f"payment_risk.natural_persons must be allowed or forbidden, not {said!r}"
        raise PolicyError(message)
    return said == "allowed"


def _sla_hours(document: Mapping[str, object]) -> dict[str, float]:
    section = _section(document, "sla_hours", {"review", "hold"})
    return {name: number(section, name, "sla_hours", low=0.1) for name in ("review", "hold")}
