"""From facts to alerts, and the file of an installation."""

import doctest
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from prebill.connectors.notify import smtp
from prebill.core.errors import InputError
from prebill.core.triage import alerts
from prebill.core.triage.alert_kinds import KINDS, AlertKind
from prebill.core.triage.alerts import (
    MANY,
    MAX_SUBJECT_LENGTH,
    MAX_SUBJECTS,
    AlertRules,
    Fact,
    Severity,
    alerts_of,
    longest_pause,
    parse_rules,
)
from prebill.workflows import alert_channels

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
RULES = AlertRules()


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_alerts_at_its_limit_and_not_before(kind: AlertKind) -> None:
    sign = 1 if kind.ends else -1
    at_limit = NOW + sign * minutes(kind.warn_minutes)
    within = at_limit + timedelta(seconds=1)
    assert () == alerts_of([Fact(kind.name, "x", 3, within)], RULES, NOW)
    (one,) = alerts_of([Fact(kind.name, "x", 3, at_limit)], RULES, NOW)
    assert one.text.startswith(kind.fact.replace("{count}", "3"))
    assert one.text.endswith(kind.advice)
    assert "{" not in one.title + one.text + one.path


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_becomes_critical_at_its_second_limit(kind: AlertKind) -> None:
    if kind.critical_minutes is None:
        return
    sign = 1 if kind.ends else -1
    at_limit = NOW + sign * minutes(kind.critical_minutes)
    (one,) = alerts_of([Fact(kind.name, "x", 1, at_limit)], RULES, NOW)
    assert Severity.CRITICAL is one.severity


def test_nothing_of_a_kind_is_no_alert() -> None:
    assert () == alerts_of([Fact("run_failed", "run-1", 0, NOW)], RULES, NOW)


def test_a_storm_of_one_kind_is_one_alert() -> None:
    facts = [
        Fact("feed_silent", f"source {n:02}", 1, NOW - timedelta(days=2, minutes=n))
        for n in range(MAX_SUBJECTS + 1)
    ]
    (one,) = alerts_of(facts, RULES, NOW)
    assert (f"feed_silent:{MANY}", 11) == (one.cause, one.count)
    assert "11 in all, among them source 10, source 09, source 08" in one.text
    assert MAX_SUBJECTS == len(alerts_of(facts[1:], RULES, NOW))


def test_a_subject_from_outside_stays_on_its_line() -> None:
    fact = Fact("feed_silent", "a\r\nBcc: x@y.z\x1b[31m" + "b" * 500, 1, NOW - timedelta(days=3))
    (one,) = alerts_of([fact], RULES, NOW)
    assert one.title.isprintable()
    assert len(one.title) < MAX_SUBJECT_LENGTH + 50
    (case,) = alerts_of([Fact("case_past_due", "a&b=c", 1, NOW)], RULES, NOW)
    assert "/queue?queue=a%26b%3Dc" == case.path


def test_a_pause_is_forgotten_slowly() -> None:
    day = 86_400
    assert 2 * day == longest_pause(day, 2 * day)
    assert day * 0.7 < longest_pause(2 * day, int(30 * day * 0.9) // 27) < 2 * day
    assert 1 == longest_pause(0, 1)


def test_a_file_sets_owners_limits_and_escalation() -> None:
    rules = parse_rules(
        """
        off = ["drift"]
        gone_after_minutes = 1
        owners = {default = "ops@example.com", run_failed = "runs@example.com"}
        escalation = {to = "head@example.com", after_minutes = 15}
        limits = {run_late = {warn_minutes = 5, critical_minutes = 9}}
        """
    )
    assert None is rules.edge("drift", NOW)
    assert NOW - minutes(5) == rules.edge("run_late", NOW)
    assert 9 == rules.kinds["run_late"].critical_minutes
    assert ("runs@example.com", "ops@example.com") == (rules.owner("run_failed"), rules.owner("x"))
    assert (minutes(15), minutes(1)) == (rules.escalate_after, rules.gone_after)
    assert ["head@example.com", "ops@example.com", "runs@example.com"] == rules.recipients()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[limits", "can't be read"),
        ("surprise = 1", "surprise"),
        ("[limits.rumour]\nwarn_minutes = 1", "rumour"),
        ("[limits]\nrun_late = 5", "limits.run_late"),
        ("[limits.run_late]\nhours = 1", "hours"),
        ("[limits.run_late]\nwarn_minutes = -1", "warn_minutes"),
        ("[limits.run_late]\nwarn_minutes = true", "warn_minutes"),
        ("[limits.run_late]\nwarn_minutes = 1.5", "warn_minutes"),
        ("[limits.run_late]\nwarn_minutes = 9999", "critical before"),
        ("[limits.case_near_due]\ncritical_minutes = 9999", "critical before"),
        ('off = ["rumour"]', "rumour"),
        ('off = "drift"', "list"),
        ("owners = 1", "owners"),
        ('[owners]\nrumour = "a@b.c"', "rumour"),
        ('[owners]\ndefault = "nobody"', "owners.default"),
        ('[owners]\ndefault = "a@b.c, d@e.f"', "owners.default"),
        ('[owners]\ndefault = "a@b.c\\r\\nBcc: d"', "owners.default"),
        ("[owners]\ndefault = 7", "owners.default"),
        ('[escalation]\nto = "@"', "escalation.to"),
        ('[escalation]\nafter_minutes = "soon"', "after_minutes"),
    ],
)
def test_a_wrong_file_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(InputError) as told:
        parse_rules(text)
    assert named in str(told.value)


def test_limits_in_the_wrong_order_are_no_kind() -> None:
    with pytest.raises(ValueError, match="critical before"):
        AlertKind("x", "", "", "", "", warn_minutes=2, critical_minutes=1)


@pytest.mark.parametrize("module", [alerts, smtp, alert_channels], ids=lambda one: one.__name__)
def test_the_examples_of_docstrings_run(module: ModuleType) -> None:
    assert (0, True) == (doctest.testmod(module).failed, doctest.testmod(module).attempted > 0)
