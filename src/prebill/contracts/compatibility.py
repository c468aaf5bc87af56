"""What changed between two versions of the contracts, and whether that may break someone.

Whoever hands in or reads a file was told what it looks like. A removed column, a narrower type or
rule, a newly required column or another key breaks them, so it needs a new major version.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from prebill.contracts.model import DataContract, Property, Reference, Rule, Version
from prebill.core.errors import ContractError
from prebill.core.schemas import Kind

#: A value of the first kind is also a value of the others.
_WIDER: Final[Mapping[Kind, frozenset[Kind]]] = {
    Kind.INTEGER: frozenset({Kind.DECIMAL, Kind.TEXT}),
    **dict.fromkeys(
        (Kind.MINOR, Kind.DECIMAL, Kind.BOOLEAN, Kind.DATE, Kind.INSTANT, Kind.FLOAT),
        frozenset({Kind.TEXT}),
    ),
}
_LOWER_LIMITS: Final = frozenset({"minimum", "exclusiveMinimum", "minLength"})
_UPPER_LIMITS: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength"})


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; ``is_breaking`` says whether it needs a new major version."""

    where: str
    text: str
    is_breaking: bool


def changes(old: DataContract, new: DataContract) -> list[Change]:
    """List every difference that matters to someone who uses the contract."""
    found = [*_property_changes(old, new), *_reference_changes(old, new)]
    found += _rule_changes(new.name, old.rules, new.rules)
    if old.key != new.key:
        found.append(Change(new.name, f"key {old.key} became {new.key}", is_breaking=True))
    if old.domain != new.domain:
        found.append(Change(new.name, f"moved from {old.domain}", is_breaking=True))
    return found


def require_compatible(old: Iterable[DataContract], new: Iterable[DataContract]) -> list[Change]:
    """Refuse a change without the version that announces it.

    Returns
    -------
    list[Change]
        Every change; all of them are announced.

    Raises
    ------
    ContractError
        A contract was removed, or broke without a new major version, or changed without a new
        version at all.
    """
    current = {contract.name: contract for contract in new}
    every: list[Change] = []
    problems: list[str] = []
    for before in old:
        after = current.get(before.name)
        if after is None:
            problems.append(f"{before.name} was removed")
            continue
        found = changes(before, after)
        every += found
        problems += _unannounced(before, after, found)
    if problems:
        message = "data contracts changed without the version that says so:\n" + "\n".join(problems)
        raise ContractError(message, problems=problems)
    return every


def _unannounced(before: DataContract, after: DataContract, found: list[Change]) -> list[str]:
    name, version = after.name, after.version
    if version < before.version:
        return [f"{name}: version went back from {before.version} to {version}"]
    breaking = [f"{change.where}: {change.text}" for change in found if change.is_breaking]
    if breaking and version.major == before.version.major:
        needed = Version(before.version.major + 1, 0, 0)
        return [f"{name}: needs version {needed}: {'; '.join(breaking)}"]
    if found and version == before.version:
        needed = Version(version.major, version.minor + 1, 0)
        texts = "; ".join(f"{change.where}: {change.text}" for change in found)
        return [f"{name}: needs version {needed}: {texts}"]
    return []


def _property_changes(old: DataContract, new: DataContract) -> list[Change]:
    before = {one.name: one for one in old.properties}
    after = {one.name: one for one in new.properties}
    found = [
        Change(f"{new.name}.{name}", "was removed", is_breaking=True)
        for name in before
        if name not in after
    ]
    for name, one in after.items():
        where = f"{new.name}.{name}"
        if name not in before:
            found.append(Change(where, "was added", is_breaking=one.is_required))
            continue
        found += _one_property(where, before[name], one, domain=new.domain)
    return found


def _one_property(where: str, old: Property, new: Property, *, domain: str) -> list[Change]:
    found = []
    if old.kind is not new.kind:
        is_wider = new.kind in _WIDER.get(old.kind, frozenset()) and domain == "inbound"
        text = f"{old.kind} became {new.kind}"
        found.append(Change(where, text, is_breaking=not is_wider))
    if old.is_required is not new.is_required:
        # Who hands in suffers from "newly required", who reads from "may be null now".
        is_breaking = new.is_required or domain != "inbound"
        text = "became required" if new.is_required else "became optional"
        found.append(Change(where, text, is_breaking=is_breaking))
    if old.is_completable is not new.is_completable:
        # Files that completed known facts would go to quarantine.
        text = "may be completed" if new.is_completable else "may be completed no more"
        found.append(Change(where, text, is_breaking=old.is_completable))
    if old.unit != new.unit:
        found.append(Change(where, f"unit {old.unit} became {new.unit}", is_breaking=True))
    return found + _rule_changes(where, old.rules, new.rules)


def _rule_changes(where: str, old: Iterable[Rule], new: Iterable[Rule]) -> list[Change]:
    before, after = {rule.id: rule for rule in old}, {rule.id: rule for rule in new}
    found = [
        Change(where, f"rule {name} was removed", is_breaking=False)
        for name in before
        if name not in after
    ]
    for name, rule in after.items():
        if name not in before:
            found.append(Change(where, f"rule {name} was added", is_breaking=True))
        elif (before[name].check, before[name].arguments) != (rule.check, rule.arguments):
            is_wider = _is_wider(before[name], rule)
            text = f"rule {name} became {'wider' if is_wider else 'narrower or another one'}"
            found.append(Change(where, text, is_breaking=not is_wider))
    return found


def _is_wider(old: Rule, new: Rule) -> bool:
    """Whether everything that fulfilled the old rule fulfils the new one."""
    if old.check != new.check:
        return False
    if old.check == "validValues":
        return set(_texts(old)) <= set(_texts(new))
    if old.check in _LOWER_LIMITS | _UPPER_LIMITS:
        before, after = _limit(old), _limit(new)
        return before <= after if old.check in _UPPER_LIMITS else before >= after
    return False


def _limit(rule: Rule) -> tuple[Decimal, str]:
    """Return what orders a limit: numbers by value; ISO dates and UTC instants by their text."""
    value = rule.arguments["value"]
    return (Decimal(0), value) if isinstance(value, str) else (Decimal(str(value)), "")


def _texts(rule: Rule) -> list[str]:
    values = rule.arguments["values"]
    return [str(value) for value in values] if isinstance(values, list) else []


def _reference_changes(old: DataContract, new: DataContract) -> list[Change]:
    before, after = set(old.references), set(new.references)
    added = [(one, "was added", True) for one in sorted(after - before, key=_reference_id)]
    removed = [(one, "was removed", False) for one in sorted(before - after, key=_reference_id)]
    return [
        Change(new.name, f"reference {one.id} {text}", is_breaking=is_breaking)
        for one, text, is_breaking in (*added, *removed)
    ]


def _reference_id(reference: Reference) -> str:
    return reference.id


def baseline_text(contracts: Iterable[DataContract]) -> str:
    """Write the contracts as the canonical JSON that is committed as their baseline."""
    ordered = sorted(contracts, key=lambda contract: contract.name)
    summary = {contract.name: _summary(contract) for contract in ordered}
    return json.dumps(summary, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def parse_baseline(text: str) -> list[DataContract]:
    """Read what :func:`baseline_text` wrote."""
    try:
        summaries: dict[str, dict[str, Any]] = json.loads(text)
        return [_contract(name, summary) for name, summary in summaries.items()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"the baseline of the data contracts can't be read: {error!r}"
        raise ContractError(message) from error


def _summary(contract: DataContract) -> dict[str, object]:
    return {
        "version": str(contract.version),
        "domain": contract.domain,
        "properties": {
            one.name: {
                "kind": one.kind.value,
                "required": one.is_required,
                "key": one.key_position,
                "unit": one.unit,
                **({"completable": True} if one.is_completable else {}),
                "rules": _rules(one.rules),
            }
            for one in contract.properties
        },
        "references": [
            [one.id, list(one.columns), one.contract, list(one.targets)]
            for one in contract.references
        ],
        "rules": _rules(contract.rules),
    }


def _rules(rules: Iterable[Rule]) -> dict[str, object]:
    return {rule.id: {"check": rule.check, "arguments": dict(rule.arguments)} for rule in rules}


def _contract(name: str, summary: Mapping[str, Any]) -> DataContract:
    return DataContract(
        name=name,
        domain=summary["domain"],
        version=Version.parse(summary["version"]),
        purpose="",
        usage="",
        properties=tuple(
            Property(
                name=column,
                kind=Kind(one["kind"]),
                meaning="",
                is_required=one["required"],
                key_position=one["key"],
                unit=one["unit"],
                is_completable=one.get("completable", False),
                rules=_parsed_rules(one["rules"]),
            )
            for column, one in summary["properties"].items()
        ),
        references=tuple(
            Reference(identifier, tuple(columns), target, tuple(targets))
            for identifier, columns, target, targets in summary["references"]
        ),
        rules=_parsed_rules(summary["rules"]),
    )


def _parsed_rules(rules: Mapping[str, Any]) -> tuple[Rule, ...]:
    return tuple(Rule(name, one["check"], "", one["arguments"]) for name, one in rules.items())
