"""From what stands to who is alerted of what: one alert a cause, whatever the number of rows.

Nothing is read or sent here. The shell measures facts beyond the limits (``AlertRules.edge``),
keeps the alerts that stand, and sends messages.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final
from urllib.parse import quote

from prebill.core.errors import InputError
from prebill.core.triage.alert_kinds import KINDS, AlertKind

#: More causes of one kind at once are told as one: a storm has one cause.
MAX_SUBJECTS: Final = 10
MANY: Final = "many"
MAX_SUBJECT_LENGTH: Final = 80
#: How long a source's longest pause counts until it counts half.
PAUSE_HALF_LIFE: Final = timedelta(days=30)
#: A source is silent once it has paused so many times longer than it usually does.
PAUSES: Final = 2

_MINUTE: Final = timedelta(minutes=1)
#: Who is told of a kind without an owner of its own.
DEFAULT: Final = "default"


class Severity(IntEnum):
    """How bad a cause is; it rises while the cause stands and never falls."""

    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Fact:
    """What stands: ``count`` things of a subject; ``at`` since when, or when it ends."""

    kind: str
    subject: str
    count: int
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """What a person is told. ``cause`` names it: while it stands there is one alert of it."""

    cause: str
    kind: str
    severity: Severity
    title: str
    text: str
    path: str
    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class AlertRules:
    """Limits, owners and escalation of an installation."""

    kinds: Mapping[str, AlertKind] = field(default_factory=lambda: KINDS)
    #: Kind or ``default`` → e-mail address of who looks after it.
    owners: Mapping[str, str] = field(default_factory=dict)
    #: Who is told of an alert that nobody acknowledged; empty: nobody.
    escalate_to: str = ""
    escalate_after: timedelta = timedelta(hours=1)
    #: A cause is gone once it was absent for so long: what comes and goes is one alert.
    gone_after: timedelta = timedelta(minutes=5)

    def owner(self, kind: str) -> str:
        """Return who looks after a kind; empty: nobody is named."""
        return self.owners.get(kind) or self.owners.get(DEFAULT, "")

    def recipients(self) -> list[str]:
        """Return every address that may be told something, once."""
        return sorted({*self.owners.values(), self.escalate_to} - {""})

    def edge(self, kind: str, now_at: datetime) -> datetime | None:
        """Return the instant before which a beginning or an end is worth an alert; None: never.

        Examples
        --------
        >>> from datetime import UTC
        >>> now_at = datetime(2026, 11, 2, 12, tzinfo=UTC)
        >>> [AlertRules().edge(kind, now_at).hour for kind in ("run_late", "case_near_due")]
        [11, 14]
        """
        found = self.kinds.get(kind)
        if found is None:
            return None
        minutes = timedelta(minutes=found.warn_minutes)
        return now_at + minutes if found.ends else now_at - minutes


def alerts_of(facts: Sequence[Fact], rules: AlertRules, now_at: datetime) -> tuple[Alert, ...]:
    """Say of which causes people are alerted now.

    Parameters
    ----------
    facts : sequence of Fact
        What was measured; what is within its limit, or of a kind that is off, is left out.
    rules : AlertRules
        Limits.
    now_at : datetime
        The present instant.

    Returns
    -------
    tuple of Alert
        One a cause, by cause.

    Examples
    --------
    >>> from datetime import UTC
    >>> now_at = datetime(2026, 11, 2, 12, tzinfo=UTC)
    >>> (one,) = alerts_of([Fact("case_past_due", "billing", 3, now_at)], AlertRules(), now_at)
    >>> one.cause, one.severity.name, one.title
    ('case_past_due:billing', 'WARNING', 'Cases are past their deadline: queue billing')
    """
    beyond = [one for one in facts if one.count > 0 and _is_beyond(one, rules, now_at)]
    found = [_alert(one, rules.kinds[one.kind], now_at) for one in _folded(beyond)]
    return tuple(sorted(found, key=lambda one: one.cause))


def longest_pause(pause_seconds: int | None, elapsed_seconds: int) -> int:
    """Return a source's longest pause after it spoke again; what is long ago counts less.

    Examples
    --------
    >>> longest_pause(None, 60), longest_pause(86_400, 60), longest_pause(86_400, 30 * 86_400)
    (60, 86398, 2592000)
    """
    halvings = elapsed_seconds / PAUSE_HALF_LIFE.total_seconds()
    kept: float = (pause_seconds or 0) * 0.5**halvings
    return max(elapsed_seconds, int(kept))


def _is_beyond(fact: Fact, rules: AlertRules, now_at: datetime) -> bool:
    edge = rules.edge(fact.kind, now_at)
    return edge is not None and fact.at <= edge


def _folded(facts: Iterable[Fact]) -> list[Fact]:
    """Facts with those of a kind that has too many subjects made one."""
    by_kind: dict[str, list[Fact]] = {}
    for fact in facts:
        by_kind.setdefault(fact.kind, []).append(fact)
    folded: list[Fact] = []
    for kind, own in by_kind.items():
        if len(own) <= MAX_SUBJECTS:
            folded += own
            continue
        named = sorted(own, key=lambda one: one.at)[:3]
        detail = f"{len(own):,} in all, among them " + ", ".join(_plain(o.subject) for o in named)
        total = sum(one.count for one in own)
        folded.append(Fact(kind, MANY, total, min(one.at for one in own), detail))
    return folded


def _alert(fact: Fact, kind: AlertKind, now_at: datetime) -> Alert:
    subject = _plain(fact.subject)
    detail = f" {_plain(fact.detail, 500)}." if fact.detail else ""
    first = "the first on" if "{count}" in kind.fact else "on"
    when = f"{first if kind.ends else 'since'} {_instant(fact.at)}"
    path = kind.path.replace("{subject}", quote(fact.subject, safe=""))
    return Alert(
        cause=f"{kind.name}:{fact.subject}" if fact.subject else kind.name,
        kind=kind.name,
        severity=_severity(fact, kind, now_at),
        title=kind.title.replace("{subject}", subject),
        text=f"{kind.fact.replace('{count}', f'{fact.count:,}')} {when}.{detail} {kind.advice}",
        path=kind.path.split("?")[0] if fact.subject == MANY else path,
        count=fact.count,
        at=fact.at,
    )


def _severity(fact: Fact, kind: AlertKind, now_at: datetime) -> Severity:
    if kind.critical_minutes is None:
        return Severity.WARNING
    minutes = timedelta(minutes=kind.critical_minutes)
    is_critical = fact.at - now_at <= minutes if kind.ends else now_at - fact.at >= minutes
    return Severity.CRITICAL if is_critical else Severity.WARNING


def _plain(text: str, length: int = MAX_SUBJECT_LENGTH) -> str:
    """A text from outside on one line, without what a terminal or a mail would obey."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def _instant(at: datetime) -> str:
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


# ── The file of an installation ──────────────────────────────────────────────────────────────


def parse_rules(text: str) -> AlertRules:
    """Read ``alerts.toml``; what it does not name stays as it comes with Prebill.

    Raises
    ------
    InputError
        It is no TOML, names something unknown, or a value can't be used.

    Examples
    --------
    >>> rules = parse_rules('owners = {default = "ops@example.com"}')
    >>> rules.owner("run_late"), rules.kinds["run_late"].warn_minutes
    ('ops@example.com', 60)
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"alerts.toml can't be read: {error}"
        raise InputError(message) from None
    _known("alerts.toml", document, {"owners", "escalation", "limits", "off", "gone_after_minutes"})
    owners, escalation = _table(document, "owners"), _table(document, "escalation")
    _known("[owners]", owners, {DEFAULT, *KINDS})
    _known("[escalation]", escalation, {"to", "after_minutes"})
    return AlertRules(
        kinds=_kinds(_table(document, "limits"), document.get("off", [])),
        owners={name: _address(f"owners.{name}", value) for name, value in owners.items()},
        escalate_to=_address("escalation.to", escalation["to"]) if "to" in escalation else "",
        escalate_after=_MINUTE * _minutes("after_minutes", escalation.get("after_minutes", 60)),
        gone_after=_MINUTE * _minutes("gone_after_minutes", document.get("gone_after_minutes", 5)),
    )


def _kinds(limits: dict[str, Any], off: object) -> dict[str, AlertKind]:
    _known("[limits]", limits, KINDS)
    if not isinstance(off, list):
        message = f"alerts.toml: off is a list of kinds, not {off!r}"
        raise InputError(message)
    _known("off", {str(name): None for name in off}, KINDS)
    kinds = {name: kind for name, kind in KINDS.items() if name not in off}
    for name, given in limits.items():
        where = f"limits.{name}"
        _known(f"[{where}]", given, {"warn_minutes", "critical_minutes"})
        kind, critical = KINDS[name], given.get("critical_minutes")
        warn = _minutes(f"{where}.warn_minutes", given.get("warn_minutes", kind.warn_minutes))
        if critical is not None:
            critical = _minutes(f"{where}.critical_minutes", critical)
        if name not in kinds:
            continue
        try:
            kinds[name] = replace(
                kind,
                warn_minutes=warn,
                critical_minutes=kind.critical_minutes if critical is None else critical,
            )
        except ValueError as error:
            message = f"alerts.toml: {error}"
            raise InputError(message, limit=name) from None
    return kinds


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        message = f"alerts.toml: {name} is a table, not {found!r}"
        raise InputError(message)
    return found


def _known(where: str, given: object, known: Iterable[str]) -> None:
    if not isinstance(given, dict):
        message = f"alerts.toml: {where} is a table, not {given!r}"
        raise InputError(message)
    unknown = sorted(set(given) - set(known))
    if unknown:
        message = f"alerts.toml: {where} has the unknown {', '.join(unknown)}"
        raise InputError(message, unknown=unknown)


def _minutes(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10_000_000:
        message = f"alerts.toml: {where} is {value!r}: use whole minutes, 0 or more"
        raise InputError(message)
    return value


def _address(where: str, value: object) -> str:
    """One e-mail address; a line break or a blank in it would reach the mail's head."""
    is_one = isinstance(value, str) and value.isprintable() and value.count("@") == 1
    if not is_one or not all(str(value).split("@")) or set(str(value)) & set(' ,;<>"()'):
        message = f"alerts.toml: {where} is {value!r}: use one e-mail address"
        raise InputError(message)
    return str(value)
